package fraudctl

/** Hides what may be a card's number in bytes that are kept or shown. */
object CardNumbers {
  private val Shortest = 13
  private val KeptFirst = 6
  private val KeptLast = 4

  /** Replace, in place, all but the first six and the last four digits of each possible card number by `*`.
    *
    * Thirteen digits or more, alone or with single blanks or hyphens between them, may be a card's number. Byte by
    * byte, so that it also holds for what is no UTF-8 at all.
    */
  def mask(bytes: Array[Byte]): Unit = {
    var place = 0
    while (place < bytes.length) {
      if (isDigit(bytes, place)) {
        val first = place
        var digits = 0
        var last = place
        while (isDigit(bytes, place)) {
          digits += 1
          last = place
          place += 1
          if (isSeparator(bytes, place) && isDigit(bytes, place + 1)) place += 1
        }
        if (digits >= Shortest) hide(bytes, first, last, digits)
        place = last + 1
      } else place += 1
    }
  }

  private def hide(bytes: Array[Byte], first: Int, last: Int, digits: Int): Unit = {
    var seen = 0
    var place = first
    while (place <= last) {
      if (isDigit(bytes, place)) {
        seen += 1
        if (seen > KeptFirst && seen <= digits - KeptLast) bytes(place) = '*'
      }
      place += 1
    }
  }

  private def isDigit(bytes: Array[Byte], place: Int): Boolean =
    place < bytes.length && bytes(place) >= '0' && bytes(place) <= '9'

  private def isSeparator(bytes: Array[Byte], place: Int): Boolean =
    place < bytes.length && (bytes(place) == ' ' || bytes(place) == '-')
}
