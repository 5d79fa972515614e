package fraudctl

import java.util

/** A set of digests (32 bytes as four longs), each with the instant at which it expires, in microseconds.
  *
  * Entries lie in buckets by the minute in which they expire, so that those that have expired are found without
  * a look at the others. An open-addressed index leads from a digest to its entry; a digest is its own hash. An
  * entry takes 40 bytes and some 16 of the index. Not thread-safe.
  */
final class DigestTable {
  import DigestTable._

  // A slot is 0 when it is free, else the bucket's number and the entry's position in it, plus one.
  private var slots = new Array[Long](SmallestIndex)
  private var mask = slots.length - 1
  private var used = 0

  private val byMinute = new util.TreeMap[java.lang.Long, Bucket]()
  private var byNumber = new Array[Bucket](64)
  private val freeNumbers = new util.ArrayDeque[Integer]()
  private var nextNumber = 0
  private var lastBucket: Bucket = _

  /** How many entries there are. */
  def size: Int = used

  /** What the entries and the index take, roughly, in bytes. */
  def memoryBytes: Long = {
    var chunks = 0L
    byMinute.values.forEach(bucket => chunks += bucket.chunks.size)
    chunks * ChunkEntries * EntryLongs * 8L + slots.length * 8L
  }

  /** When the digest expires; `Absent` if it is not there. */
  def get(a: Long, b: Long, c: Long, d: Long): Long = {
    val slot = find(a, b, c, d)
    if (slots(slot) == 0L) Absent else bucketAt(slot).expiry(positionAt(slot))
  }

  /** Add a digest, or let it expire at another instant. */
  def put(a: Long, b: Long, c: Long, d: Long, expiryUs: Long): Unit = {
    var slot = find(a, b, c, d)
    if (slots(slot) != 0L) {
      if (bucketAt(slot).expiry(positionAt(slot)) == expiryUs) return
      removeAt(slot)
      slot = find(a, b, c, d)
    }
    val bucket = bucketOf(Math.floorDiv(expiryUs, MinuteUs))
    slots(slot) = slotOf(bucket.number, bucket.add(a, b, c, d, expiryUs))
    used += 1
    if (used > (slots.length >> 2) * 3) grow()
  }

  /** Remove a digest; whether it was there. */
  def remove(a: Long, b: Long, c: Long, d: Long): Boolean = {
    val slot = find(a, b, c, d)
    val found = slots(slot) != 0L
    if (found) removeAt(slot)
    found
  }

  /** Remove everything that expires at this instant or before it. */
  def removeThrough(instantUs: Long): Unit = {
    while (!byMinute.isEmpty && byMinute.firstKey * MinuteUs <= instantUs) {
      val bucket = byMinute.firstEntry.getValue
      var position = 0
      while (position < bucket.length && bucket.live > 0) {
        if (bucket.isLive(position) && bucket.expiry(position) <= instantUs) {
          removeAt(find(bucket.part(position, 0), bucket.part(position, 1), bucket.part(position, 2), bucket.part(position, 3)))
        }
        position += 1
      }
      if (bucket.live > 0) return
    }
  }

  /** Walk through the entries in the order of the minutes in which they expire; see `Walk`. */
  def walk(): Walk = new Walk

  /** A walk that takes removals of the entry it stands at.
    *
    * It ends after the first minute of which an entry was left. Whoever removes what has expired
    * so sees every entry that has, and of the others only those of one minute.
    */
  final class Walk {
    private val minutes = byMinute.navigableKeySet.toArray(new Array[java.lang.Long](0))
    private var minute = 0
    private var bucket: Bucket = _
    private var position = -1
    private var kept = false

    /** Step to the next entry; false at the end. */
    def next(): Boolean = {
      // Only now is it known whether the entry before was removed.
      if (position >= 0 && bucket.isLive(position)) kept = true
      while (true) {
        if (bucket == null || position + 1 >= bucket.length) {
          if (kept || minute >= minutes.length) return false
          bucket = byMinute.get(minutes(minute))
          minute += 1
          position = -1
          if (bucket == null) return false
        } else {
          position += 1
          if (bucket.isLive(position)) return true
        }
      }
      false
    }

    def part(index: Int): Long = bucket.part(position, index)
    def expiryUs: Long = bucket.expiry(position)
  }

  private def find(a: Long, b: Long, c: Long, d: Long): Int = {
    var slot = hash(a)
    while ({
        val held = slots(slot)
        held != 0L && !byNumber(numberOf(held)).holds(positionOf(held), a, b, c, d)
      }) slot = (slot + 1) & mask
    slot
  }

  private def hash(a: Long): Int = (a ^ (a >>> 32)).toInt & mask

  private def bucketAt(slot: Int): Bucket = byNumber(numberOf(slots(slot)))
  private def positionAt(slot: Int): Int = positionOf(slots(slot))

  private def removeAt(slot: Int): Unit = {
    val bucket = bucketAt(slot)
    bucket.kill(positionAt(slot))
    used -= 1
    closeGap(slot)
    if (bucket.live == 0) drop(bucket)
  }

  /** Move later entries of the same run forward, so that none becomes unreachable (Knuth 6.4, algorithm R). */
  private def closeGap(freed: Int): Unit = {
    var gap = freed
    var slot = (gap + 1) & mask
    while (slots(slot) != 0L) {
      val home = hash(bucketAt(slot).part(positionAt(slot), 0))
      if (((slot - home) & mask) >= ((slot - gap) & mask)) {
        slots(gap) = slots(slot)
        gap = slot
      }
      slot = (slot + 1) & mask
    }
    slots(gap) = 0L
  }

  private def grow(): Unit = {
    val old = slots
    slots = new Array[Long](old.length * 2)
    mask = slots.length - 1
    var position = 0
    while (position < old.length) {
      val held = old(position)
      if (held != 0L) {
        var slot = hash(byNumber(numberOf(held)).part(positionOf(held), 0))
        while (slots(slot) != 0L) slot = (slot + 1) & mask
        slots(slot) = held
      }
      position += 1
    }
  }

  private def bucketOf(minute: Long): Bucket = {
    if (lastBucket != null && lastBucket.minute == minute) return lastBucket
    var bucket = byMinute.get(minute)
    if (bucket == null) {
      val number = if (freeNumbers.isEmpty) nextNumber else freeNumbers.pop().intValue
      if (number == nextNumber) nextNumber += 1
      if (number >= byNumber.length) byNumber = util.Arrays.copyOf(byNumber, byNumber.length * 2)
      bucket = new Bucket(minute, number)
      byNumber(number) = bucket
      byMinute.put(minute, bucket)
    }
    lastBucket = bucket
    bucket
  }

  private def drop(bucket: Bucket): Unit = {
    byMinute.remove(bucket.minute)
    byNumber(bucket.number) = null
    freeNumbers.push(bucket.number)
    if (lastBucket eq bucket) lastBucket = null
  }
}

object DigestTable {

  /** Stands for no instant. */
  val Absent: Long = Long.MinValue
  private val MinuteUs = 60000000L
  private val SmallestIndex = 1024
  private val EntryLongs = 5
  private val ChunkEntries = 1024

  private def slotOf(number: Int, position: Int): Long = (number.toLong << 32 | position) + 1
  private def numberOf(slot: Long): Int = ((slot - 1) >>> 32).toInt
  private def positionOf(slot: Long): Int = (slot - 1).toInt

  /** Entries that expire in one minute: four longs of the digest and the instant, in chunks that never move. */
  private final class Bucket(val minute: Long, val number: Int) {
    val chunks = new util.ArrayList[Array[Long]](1)
    var length = 0
    var live = 0

    def add(a: Long, b: Long, c: Long, d: Long, expiryUs: Long): Int = {
      if (length == chunks.size * ChunkEntries) chunks.add(new Array[Long](ChunkEntries * EntryLongs))
      val chunk = chunks.get(length / ChunkEntries)
      val at = length % ChunkEntries * EntryLongs
      chunk(at) = a
      chunk(at + 1) = b
      chunk(at + 2) = c
      chunk(at + 3) = d
      chunk(at + 4) = expiryUs
      length += 1
      live += 1
      length - 1
    }

    def part(position: Int, index: Int): Long =
      chunks.get(position / ChunkEntries)(position % ChunkEntries * EntryLongs + index)

    def expiry(position: Int): Long = part(position, 4)

    def holds(position: Int, a: Long, b: Long, c: Long, d: Long): Boolean = {
      val chunk = chunks.get(position / ChunkEntries)
      val at = position % ChunkEntries * EntryLongs
      chunk(at) == a && chunk(at + 1) == b && chunk(at + 2) == c && chunk(at + 3) == d
    }

    def isLive(position: Int): Boolean = expiry(position) != Absent

    def kill(position: Int): Unit = {
      chunks.get(position / ChunkEntries)(position % ChunkEntries * EntryLongs + 4) = Absent
      live -= 1
    }
  }
}
