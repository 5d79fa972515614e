package fraudctl

/** Hides what may be a card's number in bytes that are kept or shown. */
object CardNumbers {
  private val Shortest = 13
  private val KeptFirst = 6
  private val KeptLast = 4

  /** Replace, in the array itself, all but the first six and the last four digits of each possible card number by `*`.
    *
    * Thirteen digits or more, alone or with single blanks or hyphens between them, may be a card's number. Byte by
    * byte, so that it also holds for what is no UTF-8 at all.
    */
  def mask(bytes: Array[Byte]): Unit = {
    var index = 0
    while (index < bytes.length) {
      if (isDigit(bytes, index)) {
        val first = index
        var digits = 0
        var last = index
        while (isDigit(bytes, index)) {
          digits += 1
          last = index
          index += 1
          if (isSeparator(bytes, index) && isDigit(bytes, index + 1)) index += 1
        }
        if (digits >= Shortest) hide(bytes, first, last, digits)
        index = last + 1
      } else index += 1
    }
  }

  private def hide(bytes: Array[Byte], first: Int, last: Int, digits: Int): Unit = {
    var seen = 0
    var index = first
    while (index <= last) {
      if (isDigit(bytes, index)) {
        seen += 1
        if (seen > KeptFirst && seen <= digits - KeptLast) bytes(index) = '*'
      }
      index += 1
    }
  }

  private def isDigit(bytes: Array[Byte], index: Int): Boolean =
    index < bytes.length && bytes(index) >= '0' && bytes(index) <= '9'

  private def isSeparator(bytes: Array[Byte], index: Int): Boolean =
    index < bytes.length && (bytes(index) == ' ' || bytes(index) == '-')
}
