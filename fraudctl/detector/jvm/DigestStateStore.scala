package org.apache.spark.sql.fraudctl

import java.io.{DataInputStream, DataOutputStream, EOFException, IOException}
import java.util.zip.{CRC32C, CheckedInputStream, CheckedOutputStream}

import scala.util.control.NonFatal

import fraudctl.DigestTable
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.{ChecksumException, Path}
import org.apache.spark.internal.Logging
import org.apache.spark.sql.catalyst.expressions.UnsafeRow
import org.apache.spark.sql.execution.streaming.checkpointing.CheckpointFileManager
import org.apache.spark.sql.execution.streaming.state._
import org.apache.spark.sql.types._
import org.apache.spark.unsafe.Platform

/** Keeps the state of a query in memory: digests in a table of their own, anything else as Spark itself does.
  *
  * Spark's store in memory copies and walks the whole state in every batch. That of `dropDuplicatesWithinWatermark`
  * on digests is by far the largest, and DigestStateStoreProvider does neither.
  */
class DetectorStateStoreProvider extends StateStoreProvider {
  private var chosen: StateStoreProvider = _

  override def init(
      id: StateStoreId,
      keySchema: StructType,
      valueSchema: StructType,
      keyEncoder: KeyStateEncoderSpec,
      useColumnFamilies: Boolean,
      conf: StateStoreConf,
      hadoopConf: Configuration,
      useMultipleValuesPerKey: Boolean,
      schemas: Option[StateSchemaProvider]): Unit = {
    chosen =
      if (DigestStateStoreProvider.fits(keySchema, valueSchema)) new DigestStateStoreProvider
      else new HDFSBackedStateStoreProvider
    chosen.init(
      id, keySchema, valueSchema, keyEncoder, useColumnFamilies, conf, hadoopConf, useMultipleValuesPerKey, schemas)
  }

  override def stateStoreId: StateStoreId = chosen.stateStoreId
  override def close(): Unit = chosen.close()
  override def doMaintenance(): Unit = chosen.doMaintenance()
  override def getStore(version: Long, id: Option[String], forceSnapshot: Boolean, loadEmpty: Boolean): StateStore =
    chosen.getStore(version, id, forceSnapshot, loadEmpty)
  override def getReadStore(version: Long, id: Option[String]): ReadStateStore = chosen.getReadStore(version, id)
  // Asked of an instance that was never initialized as well.
  override def supportedCustomMetrics: Seq[StateStoreCustomMetric] =
    new HDFSBackedStateStoreProvider().supportedCustomMetrics
  override def supportedInstanceMetrics: Seq[StateStoreInstanceMetric] =
    new HDFSBackedStateStoreProvider().supportedInstanceMetrics
}

object DigestStateStoreProvider {

  /** Whether this is the state of dropDuplicatesWithinWatermark on one digest. */
  def fits(key: StructType, value: StructType): Boolean =
    key.length == 1 && key.head.name == "digest" && key.head.dataType == BinaryType &&
    value.length == 1 && value.head.name == "expiresAtMicros" && value.head.dataType == LongType
}

/** The state of one partition: a table in memory, and on disk what every batch has changed.
  *
  * Version N of the state is put together from the newest `M.snapshot` with M <= N and every `K.delta` with
  * M < K <= N. Each of these files holds the digests that were added, with the instants at which they expire, and
  * one instant through which everything that had expired was removed; see StateFiles. The names are those of
  * Spark's own store in memory. A batch costs what it brings and what expires, whatever the table holds. Snapshots
  * are put together from the files themselves, in the background, when the deltas have grown as large as they.
  */
class DigestStateStoreProvider extends StateStoreProvider with Logging {
  private var id: StateStoreId = _
  private var conf: StateStoreConf = _
  private var hadoopConf: Configuration = _
  private var files: StateFiles = _

  // What is in memory, and who may change it. A store that is given up leaves a table that is not used again.
  private var table: DigestTable = _
  private var tableVersion = -1L
  private var removedThroughUs = DigestTable.Absent
  @volatile private var active: Store = _
  // Versions that the files held beyond the one that was loaded: of batches that now run again.
  private var abandoned = Seq.empty[Path]

  override def init(
      id: StateStoreId,
      keySchema: StructType,
      valueSchema: StructType,
      keyEncoder: KeyStateEncoderSpec,
      useColumnFamilies: Boolean,
      conf: StateStoreConf,
      hadoopConf: Configuration,
      useMultipleValuesPerKey: Boolean,
      schemas: Option[StateSchemaProvider]): Unit = {
    require(DigestStateStoreProvider.fits(keySchema, valueSchema), s"not a state of digests: $keySchema")
    require(!useColumnFamilies && !useMultipleValuesPerKey, "a state of digests has one value for each key")
    this.id = id
    this.conf = conf
    this.hadoopConf = hadoopConf
    files = new StateFiles(id.storeCheckpointLocation(), hadoopConf)
  }

  override def stateStoreId: StateStoreId = id

  override def close(): Unit = synchronized {
    active = null
    table = null
    tableVersion = -1L
  }

  override def getStore(
      version: Long, uniqueId: Option[String], forceSnapshot: Boolean, loadEmpty: Boolean): StateStore =
    synchronized {
      require(version >= 0, s"no version of a state: $version")
      val untouched = active == null || active.isUntouched
      if (loadEmpty || table == null || tableVersion != version || !untouched) load(version, loadEmpty)
      active = new Store(version)
      active
    }

  private def load(version: Long, empty: Boolean): Unit = {
    active = null
    tableVersion = -1L
    table = new DigestTable
    removedThroughUs = DigestTable.Absent
    if (version > 0 && !empty) {
      files.upTo(version).foreach { file =>
        val through = files.read(file, (a, b, c, d, expiry) => table.put(a, b, c, d, expiry))
        if (through > removedThroughUs) {
          removedThroughUs = through
          table.removeThrough(through)
        }
      }
      // An older file may name what a newer one has removed.
      if (removedThroughUs != DigestTable.Absent) table.removeThrough(removedThroughUs)
    }
    abandoned = files.after(version)
    tableVersion = version
  }

  override def doMaintenance(): Unit = {
    val version = synchronized(tableVersion)
    if (version > 0) {
      try {
        if (files.snapshotIsDue(version)) files.writeSnapshot(version)
        files.removeOlderThan(version - conf.minVersionsToRetain)
      } catch {
        case NonFatal(error) => logWarning(s"the state in ${id.storeCheckpointLocation()} was not tidied up", error)
      }
    }
  }

  /** One version of the state while a batch changes it. */
  final class Store(override val version: Long) extends StateStore {
    private var additions: StateFiles.Writer = _
    private var ended = false
    private var committed = false
    private var removedUs = DigestTable.Absent
    private val held = table
    private val keyRow = new UnsafeRow(1)
    private val keyBytes = new Array[Byte](StateFiles.KeyRowBytes)
    private val valueRow = new UnsafeRow(1)
    private val valueBytes = new Array[Byte](16)
    private val pair = new UnsafeRowPair(keyRow, valueRow)
    keyRow.pointTo(keyBytes, keyBytes.length)
    keyRow.setLong(0, StateFiles.KeyPlace)
    valueRow.pointTo(valueBytes, valueBytes.length)

    /** Nothing of the table was changed since the last commit. */
    def isUntouched: Boolean = committed || (additions == null && removedUs == DigestTable.Absent)

    override def id: StateStoreId = DigestStateStoreProvider.this.id
    override def hasCommitted: Boolean = committed
    override def allColumnFamilyNames: Set[String] = Set(StateStore.DEFAULT_COL_FAMILY_NAME)

    override def get(key: UnsafeRow, family: String): UnsafeRow = {
      check(key)
      val expiryUs = held.get(part(key, 0), part(key, 1), part(key, 2), part(key, 3))
      if (expiryUs == DigestTable.Absent) null
      else {
        valueRow.setLong(0, expiryUs)
        valueRow
      }
    }

    override def put(key: UnsafeRow, value: UnsafeRow, family: String): Unit = {
      check(key)
      val expiryUs = value.getLong(0)
      held.put(part(key, 0), part(key, 1), part(key, 2), part(key, 3), expiryUs)
      if (additions == null) additions = new StateFiles.Writer
      additions.add(part(key, 0), part(key, 1), part(key, 2), part(key, 3), expiryUs)
    }

    /** Remove a key that has expired: that everything before it has as well is how it is written down. */
    override def remove(key: UnsafeRow, family: String): Unit = {
      check(key)
      val expiryUs = held.get(part(key, 0), part(key, 1), part(key, 2), part(key, 3))
      if (expiryUs != DigestTable.Absent) {
        held.remove(part(key, 0), part(key, 1), part(key, 2), part(key, 3))
        removedUs = math.max(removedUs, expiryUs)
      }
    }

    /** The entries for whoever removes what has expired: in order, and no more than needed; see DigestTable.Walk. */
    override def iterator(family: String): StateStoreIterator[UnsafeRowPair] = {
      val walk = held.walk()
      val entries = new Iterator[UnsafeRowPair] {
        private var asked = false
        private var there = false

        override def hasNext: Boolean = {
          if (!asked) {
            there = walk.next()
            asked = true
          }
          there
        }

        override def next(): UnsafeRowPair = {
          if (!hasNext) throw new NoSuchElementException("the state has no more entries")
          asked = false
          var index = 0
          while (index < 4) {
            Platform.putLong(keyBytes, Platform.BYTE_ARRAY_OFFSET + 16 + 8L * index, walk.part(index))
            index += 1
          }
          valueRow.setLong(0, walk.expiryUs)
          pair
        }
      }
      new StateStoreIterator(entries, () => ())
    }

    override def commit(): Long = DigestStateStoreProvider.this.synchronized {
      if (ended || (active ne this)) throw new IllegalStateException(s"this store of $id was given up")
      val next = version + 1
      val through = math.max(removedThroughUs, removedUs)
      abandoned.foreach(files.delete)
      abandoned = Seq.empty
      val writer = if (additions == null) new StateFiles.Writer else additions
      files.write(files.delta(next), writer, through)
      removedThroughUs = through
      tableVersion = next
      committed = true
      ended = true
      if (conf.commitValidationEnabled) StateStore.reportCommitToCoordinator(next, id, hadoopConf)
      next
    }

    override def abort(): Unit = DigestStateStoreProvider.this.synchronized {
      ended = true
      if ((active eq this) && !isUntouched) tableVersion = -1L
    }

    override def release(): Unit = if (!committed) abort()

    override def metrics: StateStoreMetrics =
      StateStoreMetrics(held.size, held.memoryBytes, Map.empty, Map.empty)

    override def getStateStoreCheckpointInfo(): StateStoreCheckpointInfo =
      StateStoreCheckpointInfo(id.partitionId, version + 1, None, None)

    private def check(key: UnsafeRow): Unit = {
      if (ended || (active ne this)) throw new IllegalStateException(s"this store of $id was given up")
      // A row is padded to eight bytes: its size alone does not tell 25 bytes from 32.
      if (key.getSizeInBytes != StateFiles.KeyRowBytes || key.isNullAt(0) || key.getLong(0) != StateFiles.KeyPlace) {
        throw new IllegalArgumentException("a digest has 32 bytes, and this key has not")
      }
    }

    private def part(key: UnsafeRow, index: Int): Long =
      Platform.getLong(key.getBaseObject, key.getBaseOffset + 16 + 8L * index)

    // What dropDuplicatesWithinWatermark never asks for.
    private def unsupported(what: String) =
      throw new UnsupportedOperationException(s"a state of digests has no $what")
    override def valuesIterator(key: UnsafeRow, family: String): Iterator[UnsafeRow] = unsupported("lists")
    override def prefixScan(prefix: UnsafeRow, family: String): StateStoreIterator[UnsafeRowPair] =
      unsupported("prefixes")
    override def prefixScanWithMultiValues(
        prefix: UnsafeRow, family: String): StateStoreIterator[UnsafeRowPair] = unsupported("prefixes")
    override def iteratorWithMultiValues(family: String): StateStoreIterator[UnsafeRowPair] = unsupported("lists")
    override def putList(key: UnsafeRow, values: Array[UnsafeRow], family: String): Unit = unsupported("lists")
    override def merge(key: UnsafeRow, value: UnsafeRow, family: String): Unit = unsupported("lists")
    override def mergeList(key: UnsafeRow, values: Array[UnsafeRow], family: String): Unit = unsupported("lists")
    override def removeColFamilyIfExists(family: String): Boolean = unsupported("column families")
    override def createColFamilyIfAbsent(
        family: String,
        keySchema: StructType,
        valueSchema: StructType,
        encoder: KeyStateEncoderSpec,
        useMultipleValuesPerKey: Boolean,
        isInternal: Boolean): Unit = unsupported("column families")
  }
}

object StateFiles {

  /** A row of one binary field: null bits, offset and size, 32 bytes. */
  val KeyRowBytes = 48

  /** Where the field lies in its row: the offset, and the size. */
  val KeyPlace: Long = 16L << 32 | 32L
  val EntryBytes = 40
  private val Magic = 0x66726431 // "frd1"
  private val BufferBytes = 1 << 16

  // How many deltas there are at least, and at most, before they are put together.
  private val LeastDeltas = 10
  private val MostDeltas = 1000

  private final case class StateFile(version: Long, isSnapshot: Boolean, path: Path, bytes: Long)

  /** Entries that will become a file. */
  final class Writer {
    private var entries = new Array[Long](5 * 256)
    var count = 0

    def add(a: Long, b: Long, c: Long, d: Long, expiryUs: Long): Unit = {
      if (5 * count == entries.length) entries = java.util.Arrays.copyOf(entries, 2 * entries.length)
      val at = 5 * count
      entries(at) = a
      entries(at + 1) = b
      entries(at + 2) = c
      entries(at + 3) = d
      entries(at + 4) = expiryUs
      count += 1
    }

    def writeTo(out: DataOutputStream): Unit = {
      val buffer = java.nio.ByteBuffer.allocate(EntryBytes * 1024)
      var at = 0
      while (at < 5 * count) {
        buffer.putLong(entries(at))
        at += 1
        if (!buffer.hasRemaining || at == 5 * count) {
          out.write(buffer.array, 0, buffer.position())
          buffer.clear()
        }
      }
    }
  }

  /** Called with each entry of a file. */
  trait Take {
    def apply(a: Long, b: Long, c: Long, d: Long, expiryUs: Long): Unit
  }
}

/** The files of one partition's state.
  *
  * A file is: the number 0x66726431; the instant (microseconds since 1970) through which everything has been
  * removed; how many entries follow; the entries, each the 32 bytes of a digest and the instant at which it
  * expires; a CRC-32C over all that. Numbers are big-endian.
  */
final class StateFiles(folder: Path, hadoopConf: Configuration) {
  import StateFiles._

  private val manager = CheckpointFileManager.create(folder, hadoopConf)
  if (!manager.exists(folder)) manager.mkdirs(folder)

  def delta(version: Long): Path = new Path(folder, s"$version.delta")
  private def snapshot(version: Long): Path = new Path(folder, s"$version.snapshot")

  def delete(file: Path): Unit = manager.delete(file)

  /** The files that version `version` is put together from, oldest first.
    *
    * @throws IOException one of them is missing
    */
  def upTo(version: Long): Seq[Path] = {
    val held = list()
    val newest = held.filter(file => file.isSnapshot && file.version <= version).map(_.version).maxOption
    val deltas = held.filterNot(_.isSnapshot).map(_.version).toSet
    val needed = newest.getOrElse(0L) + 1 to version
    needed.find(!deltas(_)).foreach { number =>
      throw new IOException(s"CANNOT_READ_DELTA: the file of the state ${delta(number)} does not exist")
    }
    newest.map(snapshot).toSeq ++ needed.map(delta)
  }

  /** The files of versions beyond this one. */
  def after(version: Long): Seq[Path] = list().filter(_.version > version).map(_.path)

  /** Write a file, whole or not at all. */
  def write(file: Path, entries: Writer, removedThroughUs: Long): Unit =
    writing(file, removedThroughUs, entries.count)(entries.writeTo)

  /** Read a file; the instant through which everything has been removed.
    *
    * @throws IOException it is missing, cut short or damaged
    */
  def read(file: Path, take: Take): Long = {
    val (through, _) = scan(file, take)
    through
  }

  /** Whether reading the deltas has become as much as reading a snapshot, or there are very many of them. */
  def snapshotIsDue(version: Long): Boolean = {
    val held = list().filter(_.version <= version)
    val base = held.filter(_.isSnapshot).maxByOption(_.version)
    val deltas = held.filter(file => !file.isSnapshot && file.version > base.map(_.version).getOrElse(0L))
    deltas.length >= LeastDeltas &&
    (deltas.length >= MostDeltas || deltas.map(_.bytes).sum >= base.map(_.bytes).getOrElse(0L))
  }

  /** Put a snapshot together from the files of its version; what has expired by then is left out. */
  def writeSnapshot(version: Long): Unit = {
    val parts = upTo(version)
    val through = parts.map(file => scan(file, (_, _, _, _, _) => ())._1).maxOption.getOrElse(DigestTable.Absent)
    var count = 0
    parts.foreach(file => scan(file, (_, _, _, _, expiry) => if (expiry > through) count += 1))
    writing(snapshot(version), through, count) { out =>
      parts.foreach { file =>
        scan(
          file,
          (a, b, c, d, expiry) =>
            if (expiry > through) {
              out.writeLong(a)
              out.writeLong(b)
              out.writeLong(c)
              out.writeLong(d)
              out.writeLong(expiry)
            })
      }
    }
  }

  /** Remove what no version from `version` on is put together from. */
  def removeOlderThan(version: Long): Unit = {
    val held = list()
    held.filter(file => file.isSnapshot && file.version <= version).map(_.version).maxOption.foreach { base =>
      held
        .filter(file => file.version < base || (file.version == base && !file.isSnapshot))
        .foreach(file => delete(file.path))
    }
  }

  private def list(): Seq[StateFile] =
    manager.list(folder).toSeq.flatMap { status =>
      status.getPath.getName.split('.') match {
        case Array(number, kind @ ("delta" | "snapshot")) if number.nonEmpty && number.forall(_.isDigit) =>
          Some(StateFile(number.toLong, kind == "snapshot", status.getPath, status.getLen))
        case _ => None
      }
    }

  private def writing(file: Path, removedThroughUs: Long, count: Int)(fill: DataOutputStream => Unit): Unit = {
    val atomic = manager.createAtomic(file, overwriteIfPossible = true)
    try {
      val checked = new CheckedOutputStream(new java.io.BufferedOutputStream(atomic, BufferBytes), new CRC32C)
      val out = new DataOutputStream(checked)
      out.writeInt(Magic)
      out.writeLong(removedThroughUs)
      out.writeInt(count)
      fill(out)
      out.writeLong(checked.getChecksum.getValue)
      out.flush()
      atomic.close()
    } catch {
      case error: Throwable =>
        atomic.cancel()
        throw error
    }
  }

  private def scan(file: Path, take: Take): (Long, Int) = {
    val stream = manager.open(file)
    try {
      val checked = new CheckedInputStream(new java.io.BufferedInputStream(stream, BufferBytes), new CRC32C)
      val in = new DataInputStream(checked)
      if (in.readInt() != Magic) throw new EOFException("it does not begin as it should")
      val through = in.readLong()
      val count = in.readInt()
      var rest = count
      val bytes = new Array[Byte](EntryBytes * 512)
      val longs = java.nio.ByteBuffer.wrap(bytes)
      while (rest > 0) {
        val entries = math.min(rest, 512)
        in.readFully(bytes, 0, entries * EntryBytes)
        longs.clear()
        var entry = 0
        while (entry < entries) {
          take(longs.getLong, longs.getLong, longs.getLong, longs.getLong, longs.getLong)
          entry += 1
        }
        rest -= entries
      }
      val found = checked.getChecksum.getValue
      if (in.readLong() != found) throw new EOFException("its checksum is another one")
      (through, count)
    } catch {
      case error @ (_: EOFException | _: ChecksumException) =>
        throw new IOException(s"CANNOT_READ_DELTA: the file of the state $file is damaged: ${error.getMessage}", error)
    } finally stream.close()
  }
}
