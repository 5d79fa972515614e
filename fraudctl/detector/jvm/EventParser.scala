package fraudctl

import java.security.MessageDigest
import java.util

import org.apache.spark.unsafe.types.UTF8String

/** What is allowed in an event beyond its fixed fields; the values come from settings and the event schema.
  *
  * @param maxBytes a longer message is malformed
  * @param categories names that `category` may have, as UTF-8
  * @param currency the one currency, three ASCII letters
  */
final case class EventLimits(
    maxBytes: Int,
    schemaVersion: Long,
    amountMin: Long,
    amountMax: Long,
    categories: Seq[String],
    currency: String)

object EventParser {
  // The fields in the order of the event schema. Their positions are used as indexes everywhere below.
  val SchemaVersion = 0
  val TransactionId = 1
  val EventTime = 2
  val CardId = 3
  val MerchantId = 4
  val Category = 5
  val AmountMinor = 6
  val Currency = 7
  val Country = 8
  val Channel = 9

  val FieldNames: Array[String] = Array(
    "schema_version", "transaction_id", "event_time", "card_id", "merchant_id", "category", "amount_minor",
    "currency", "country", "channel")

  // Outcomes of `parse`: well formed, malformed, or Invalid + the index of the first field out of bounds.
  val WellFormed = 0
  val Malformed = 1
  val Invalid = 2

  private val Fields = FieldNames.length
  private val AllSeen = (1 << Fields) - 1
  private val Separator: Byte = 0x1f
  private val LongestIdentifier = 64
  private val LongestChannel = 32
  private val DaysInMonth = Array(31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

  // Classes of ASCII bytes: 1 = may stand in an identifier, 2 = may begin one.
  private val IdentifierByte = new Array[Byte](128)
  for (byte <- 0 until 128) {
    val alphanumeric = Character.isLetterOrDigit(byte)
    IdentifierByte(byte) = if (alphanumeric) 3 else if ("._:-".indexOf(byte) >= 0) 1 else 0
  }
}

/** Reads one message after the other, byte by byte, into fields or the reason why it is no event.
  *
  * Implements the specification in fraudctl/events/schema.py. An event is one flat JSON object with exactly ten
  * known keys, so anything else in it (another key, a nested value, a literal) settles at once that the message
  * is malformed, and only strings and integers have to be read.
  *
  * Not thread-safe: the fields of the last message are read through the members below, which are valid until
  * the next call of `parse`.
  */
final class EventParser(limits: EventLimits) {
  import EventParser._

  /** Microseconds since 1970-01-01T00:00:00Z; valid when the message is well formed. */
  var eventTimeUs: Long = 0L
  var amountMinor: Long = 0L
  private var schemaVersion: Long = 0L

  private val names = FieldNames.map(_.getBytes("US-ASCII"))
  private val categories = new util.HashMap[UTF8String, UTF8String]()
  limits.categories.map(UTF8String.fromString).foreach(name => categories.put(name, name))
  private val currency = limits.currency.getBytes("US-ASCII")

  // Where each text field lies: in the message itself or, when it was written with escapes, in `scratch`.
  private val source = new Array[Array[Byte]](Fields)
  private val start = new Array[Int](Fields)
  private val end = new Array[Int](Fields)
  private var scratch = new Array[Byte](1024)
  private var scratchEnd = 0
  private var category: UTF8String = _

  private var message: Array[Byte] = Array.emptyByteArray
  private var length = 0
  private var position = 0
  // Of the string that was read last.
  private var stringSource: Array[Byte] = _
  private var stringStart = 0
  private var stringEnd = 0
  private var number = 0L

  private val sha = MessageDigest.getInstance("SHA-256")
  private var digested = new Array[Byte](1024)

  /** A field that is a text, as a view of bytes that the next message overwrites: copy what is kept. */
  def text(field: Int): UTF8String =
    if (field == Category) category
    else UTF8String.fromBytes(source(field), start(field), end(field) - start(field))

  /** Read a message: `WellFormed`, `Malformed`, or `Invalid` + the first field that is out of bounds. */
  def parse(value: Array[Byte]): Int = {
    if (value == null || value.length == 0 || value.length > limits.maxBytes || !readObject(value)) Malformed
    else {
      val field = firstInvalid()
      if (field < 0) WellFormed else Invalid + field
    }
  }

  /** What names the transaction: SHA-256 over all fields as text, joined by U+001F. */
  def digest(): Array[Byte] = {
    var needed = 64
    var field = 0
    while (field < Fields) {
      needed += end(field) - start(field) + 1
      field += 1
    }
    if (digested.length < needed) digested = new Array[Byte](2 * needed)
    var at = putNumber(0, schemaVersion)
    field = 1
    while (field < Fields) {
      digested(at) = Separator
      at += 1
      if (field == EventTime) at = putNumber(at, eventTimeUs)
      else if (field == AmountMinor) at = putNumber(at, amountMinor)
      else {
        val size = end(field) - start(field)
        System.arraycopy(source(field), start(field), digested, at, size)
        at += size
      }
      field += 1
    }
    sha.update(digested, 0, at)
    sha.digest()
  }

  private def putNumber(at: Int, value: Long): Int = {
    var next = at
    var rest = value
    if (rest < 0) {
      digested(next) = '-'
      next += 1
      rest = -rest
    }
    var digits = 1
    var power = rest / 10
    while (power > 0) {
      digits += 1
      power /= 10
    }
    var index = next + digits
    while (index > next) {
      index -= 1
      digested(index) = ('0' + rest % 10).toByte
      rest /= 10
    }
    next + digits
  }

  // --- The JSON object ---------------------------------------------------------------------------------------

  private def readObject(value: Array[Byte]): Boolean = {
    message = value
    length = value.length
    position = 0
    scratchEnd = 0
    skipBlanks()
    if (!take('{')) return false
    var seen = 0
    var expected = 0
    while (expected < Fields) {
      skipBlanks()
      if (!take('"') || !readString()) return false
      val field = knownField(expected)
      if (field < 0 || (seen & (1 << field)) != 0) return false
      seen |= 1 << field
      skipBlanks()
      if (!take(':')) return false
      skipBlanks()
      if (!readValue(field)) return false
      skipBlanks()
      expected += 1
      if (expected < Fields && !take(',')) return false
    }
    if (!take('}') || seen != AllSeen) return false
    skipBlanks()
    position == length
  }

  private def skipBlanks(): Unit = {
    while (position < length && {
        val byte = message(position)
        byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t'
      }) position += 1
  }

  private def take(character: Char): Boolean = {
    val found = position < length && message(position) == character
    if (found) position += 1
    found
  }

  /** The index of the field that the last string names, -1 if none; `expected` is tried first. */
  private def knownField(expected: Int): Int = {
    if (isName(expected)) return expected
    var field = 0
    while (field < Fields) {
      if (isName(field)) return field
      field += 1
    }
    -1
  }

  private def isName(field: Int): Boolean = {
    val name = names(field)
    util.Arrays.equals(stringSource, stringStart, stringEnd, name, 0, name.length)
  }

  private def readValue(field: Int): Boolean = {
    if (field == SchemaVersion || field == AmountMinor) {
      if (!readInteger()) return false
      if (field == SchemaVersion) schemaVersion = number else amountMinor = number
      start(field) = 0
      end(field) = 0
      true
    } else {
      if (!take('"') || !readString()) return false
      source(field) = stringSource
      start(field) = stringStart
      end(field) = stringEnd
      true
    }
  }

  /** An integer of 64 bits without fraction or exponent: what follows it must not be part of a number. */
  private def readInteger(): Boolean = {
    val negative = take('-')
    val first = position
    // Summed up below zero, where there is one number more.
    var value = 0L
    while (position < length && message(position) >= '0' && message(position) <= '9') {
      val digit = message(position) - '0'
      if (value < Long.MinValue / 10 || value * 10 < Long.MinValue + digit) return false
      value = value * 10 - digit
      position += 1
    }
    if (position == first || (message(first) == '0' && position - first > 1)) return false
    if (!negative && value == Long.MinValue) return false
    number = if (negative) value else -value
    true
  }

  /** The string whose opening quotation mark has been taken, as strict JSON in strict UTF-8. */
  private def readString(): Boolean = {
    val first = position
    while (position < length) {
      val byte = message(position)
      if (byte == '"') {
        stringSource = message
        stringStart = first
        stringEnd = position
        position += 1
        return true
      }
      if (byte == '\\') return readEscapedString(first)
      if (byte < 0) {
        if (!skipMultibyte()) return false
      } else if (byte < 0x20) return false
      else position += 1
    }
    false
  }

  /** The same where there are escapes: the text is put together in `scratch`. */
  private def readEscapedString(first: Int): Boolean = {
    // The text is never longer than what it is written as.
    if (scratch.length < scratchEnd + length) {
      scratch = util.Arrays.copyOf(scratch, math.max(2 * scratch.length, scratchEnd + length))
      var field = 0
      while (field < Fields) {
        if (source(field) != null && (source(field) ne message)) source(field) = scratch
        field += 1
      }
    }
    val begin = scratchEnd
    keep(first, position)
    while (position < length) {
      val byte = message(position)
      if (byte == '"') {
        stringSource = scratch
        stringStart = begin
        stringEnd = scratchEnd
        position += 1
        return true
      }
      if (byte == '\\') {
        if (!readEscape()) return false
      } else if (byte < 0) {
        val from = position
        if (!skipMultibyte()) return false
        keep(from, position)
      } else if (byte < 0x20) return false
      else {
        keep(position, position + 1)
        position += 1
      }
    }
    false
  }

  private def keep(from: Int, until: Int): Unit = {
    System.arraycopy(message, from, scratch, scratchEnd, until - from)
    scratchEnd += until - from
  }

  private def readEscape(): Boolean = {
    if (position + 1 >= length) return false
    val letter = message(position + 1)
    position += 2
    letter match {
      case '"' | '\\' | '/' => keepByte(letter)
      case 'b' => keepByte('\b')
      case 'f' => keepByte('\f')
      case 'n' => keepByte('\n')
      case 'r' => keepByte('\r')
      case 't' => keepByte('\t')
      case 'u' => readUnicodeEscape()
      case _ => false
    }
  }

  private def keepByte(byte: Int): Boolean = {
    scratch(scratchEnd) = byte.toByte
    scratchEnd += 1
    true
  }

  private def readUnicodeEscape(): Boolean = {
    val unit = hexadecimal()
    if (unit < 0 || Character.isLowSurrogate(unit.toChar)) return false
    if (!Character.isHighSurrogate(unit.toChar)) return keepCodePoint(unit)
    if (position + 1 >= length || message(position) != '\\' || message(position + 1) != 'u') return false
    position += 2
    val low = hexadecimal()
    low >= 0 && Character.isLowSurrogate(low.toChar) &&
    keepCodePoint(Character.toCodePoint(unit.toChar, low.toChar))
  }

  /** The four hexadecimal digits at `position`, -1 if they are not there. */
  private def hexadecimal(): Int = {
    if (position + 4 > length) return -1
    var value = 0
    var index = position
    while (index < position + 4) {
      val byte = message(index)
      val digit =
        if (byte >= '0' && byte <= '9') byte - '0'
        else if (byte >= 'a' && byte <= 'f') byte - 'a' + 10
        else if (byte >= 'A' && byte <= 'F') byte - 'A' + 10
        else return -1
      value = value * 16 + digit
      index += 1
    }
    position += 4
    value
  }

  private def keepCodePoint(point: Int): Boolean = {
    if (point < 0x80) keepByte(point)
    else {
      if (point < 0x800) keepByte(0xc0 | point >> 6)
      else {
        if (point < 0x10000) keepByte(0xe0 | point >> 12)
        else {
          keepByte(0xf0 | point >> 18)
          keepByte(0x80 | point >> 12 & 0x3f)
        }
        keepByte(0x80 | point >> 6 & 0x3f)
      }
      keepByte(0x80 | point & 0x3f)
    }
  }

  /** Skip one character of two to four bytes; false unless it is well formed (Unicode 15, table 3-7). */
  private def skipMultibyte(): Boolean = {
    val lead = message(position) & 0xff
    val size = if (lead < 0xc2) 0 else if (lead < 0xe0) 2 else if (lead < 0xf0) 3 else if (lead < 0xf5) 4 else 0
    if (size == 0 || position + size > length) return false
    val second = message(position + 1) & 0xff
    val least = if (lead == 0xe0) 0xa0 else if (lead == 0xf0) 0x90 else 0x80
    val most = if (lead == 0xed) 0x9f else if (lead == 0xf4) 0x8f else 0xbf
    if (second < least || second > most) return false
    var index = position + 2
    while (index < position + size) {
      if ((message(index) & 0xc0) != 0x80) return false
      index += 1
    }
    position += size
    true
  }

  // --- Bounds ------------------------------------------------------------------------------------------------

  private def firstInvalid(): Int = {
    if (schemaVersion != limits.schemaVersion) return SchemaVersion
    if (!isIdentifier(TransactionId)) return TransactionId
    if (!readEventTime()) return EventTime
    if (!isIdentifier(CardId)) return CardId
    if (!isIdentifier(MerchantId)) return MerchantId
    if (!readCategory()) return Category
    if (amountMinor < limits.amountMin || amountMinor > limits.amountMax) return AmountMinor
    if (!util.Arrays.equals(source(Currency), start(Currency), end(Currency), currency, 0, currency.length)) return Currency
    if (!isCountry()) return Country
    if (!isChannel()) return Channel
    -1
  }

  private def isIdentifier(field: Int): Boolean = {
    val bytes = source(field)
    val from = start(field)
    val until = end(field)
    val size = until - from
    if (size < 1 || size > LongestIdentifier || bytes(from) < 0 || (IdentifierByte(bytes(from)) & 2) == 0) return false
    var index = from + 1
    while (index < until) {
      if (bytes(index) < 0 || IdentifierByte(bytes(index)) == 0) return false
      index += 1
    }
    true
  }

  /** Keep the name as the settings have it, which no later message overwrites. */
  private def readCategory(): Boolean = {
    val from = start(Category)
    category = categories.get(UTF8String.fromBytes(source(Category), from, end(Category) - from))
    category != null
  }

  private def isCountry(): Boolean = {
    val bytes = source(Country)
    val from = start(Country)
    end(Country) - from == 2 && isCapital(bytes(from)) && isCapital(bytes(from + 1))
  }

  private def isCapital(byte: Byte): Boolean = byte >= 'A' && byte <= 'Z'

  private def isChannel(): Boolean = {
    val bytes = source(Channel)
    val from = start(Channel)
    val size = end(Channel) - from
    if (size < 1 || size > LongestChannel || bytes(from) < 'a' || bytes(from) > 'z') return false
    var index = from + 1
    while (index < end(Channel)) {
      val byte = bytes(index)
      if (!(byte >= 'a' && byte <= 'z' || byte >= '0' && byte <= '9' || byte == '_')) return false
      index += 1
    }
    true
  }

  /** RFC 3339 with a zone, years 2000 to 2099, at most microseconds, on a day and at a time that exist. */
  private def readEventTime(): Boolean = {
    val bytes = source(EventTime)
    val from = start(EventTime)
    val until = end(EventTime)
    if (until - from < 20) return false
    if (bytes(from) != '2' || bytes(from + 1) != '0' || bytes(from + 4) != '-' || bytes(from + 7) != '-' ||
      bytes(from + 10) != 'T' || bytes(from + 13) != ':' || bytes(from + 16) != ':') return false
    val year = 2000 + twoDigits(bytes, from + 2)
    val month = twoDigits(bytes, from + 5)
    val day = twoDigits(bytes, from + 8)
    val hour = twoDigits(bytes, from + 11)
    val minute = twoDigits(bytes, from + 14)
    val second = twoDigits(bytes, from + 17)
    if (year < 2000 || month < 1 || month > 12 || day < 1 || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
      second < 0 || second > 59) return false
    val leapDay = if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)) 1 else 0
    if (day > DaysInMonth(month - 1) + leapDay) return false
    var index = from + 19
    var fraction = 0L
    if (bytes(index) == '.') {
      index += 1
      var digits = 0
      while (index < until && bytes(index) >= '0' && bytes(index) <= '9') {
        if (digits == 6) return false
        fraction = fraction * 10 + (bytes(index) - '0')
        digits += 1
        index += 1
      }
      if (digits == 0) return false
      while (digits < 6) {
        fraction *= 10
        digits += 1
      }
    }
    val zoneMinutes = zone(bytes, index, until)
    if (zoneMinutes == Int.MinValue) return false
    val minutes = (daysSince1970(year, month, day) * 24 + hour) * 60 + minute - zoneMinutes
    eventTimeUs = (minutes * 60 + second) * 1000000L + fraction
    true
  }

  /** Minutes east of Greenwich of `Z` or `+hh:mm`, up to 14:59; Int.MinValue if it is neither. */
  private def zone(bytes: Array[Byte], from: Int, until: Int): Int = {
    if (until - from == 1 && bytes(from) == 'Z') return 0
    if (until - from != 6 || (bytes(from) != '+' && bytes(from) != '-') || bytes(from + 3) != ':') return Int.MinValue
    val hours = twoDigits(bytes, from + 1)
    val minutes = twoDigits(bytes, from + 4)
    if (hours < 0 || hours > 14 || minutes < 0 || minutes > 59) return Int.MinValue
    val east = hours * 60 + minutes
    if (bytes(from) == '-') -east else east
  }

  private def twoDigits(bytes: Array[Byte], at: Int): Int = {
    val tens = bytes(at) - '0'
    val ones = bytes(at + 1) - '0'
    if (tens < 0 || tens > 9 || ones < 0 || ones > 9) Int.MinValue / 2 else tens * 10 + ones
  }

  /** Days of the proleptic Gregorian calendar, counted from March so that the leap day comes last. */
  private def daysSince1970(year: Int, month: Int, day: Int): Long = {
    val marchYear = if (month > 2) year else year - 1
    val dayOfYear = (153 * (if (month > 2) month - 3 else month + 9) + 2) / 5 + day - 1
    365L * marchYear + marchYear / 4 - marchYear / 100 + marchYear / 400 + dayOfYear - 719468
  }
}
