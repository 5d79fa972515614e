package fraudctl

import java.util

import scala.collection.mutable.ArrayBuffer

import org.apache.spark.sql.Column
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions.{BinaryExpression, Expression, GenericInternalRow}
import org.apache.spark.sql.catalyst.expressions.codegen.{CodegenContext, ExprCode}
import org.apache.spark.sql.catalyst.util.{ArrayData, GenericArrayData}
import org.apache.spark.sql.fraudctl.Columns
import org.apache.spark.sql.types._
import org.apache.spark.unsafe.types.UTF8String

object CardFlags {

  /** The transactions of a window's second half that rules on a card's past match, as an array of structs.
    *
    * @param entries all of the card's transactions in the window, with copies, in any order: an array of
    *   structs of the fields in `Entry`
    * @param halfUs where the second half begins, in microseconds since 1970
    * @param rules a rules document
    */
  def column(entries: Column, halfUs: Column, rules: String): Column =
    Columns.of(EvaluateCard(Columns.expression(entries), Columns.expression(halfUs), RulesDocument(rules)))
}

/** Evaluates all rules on the transactions of one card in one window. */
case class EvaluateCard(left: Expression, right: Expression, rules: RulesDocument) extends BinaryExpression {

  @transient private lazy val evaluator = new CardEvaluator(RuleSet.of(rules))

  override def dataType: DataType = ArrayType(CardEvaluator.FlagType, containsNull = false)
  override def nullIntolerant: Boolean = true
  override def prettyName: String = "evaluate_card"

  override protected def nullSafeEval(entries: Any, halfUs: Any): Any =
    flags(entries.asInstanceOf[ArrayData], halfUs.asInstanceOf[Long])

  /** Called by generated code. */
  def flags(entries: ArrayData, halfUs: Long): ArrayData = evaluator.flags(entries, halfUs)

  override protected def doGenCode(ctx: CodegenContext, ev: ExprCode): ExprCode = {
    val self = ctx.addReferenceObj("evaluateCard", this, classOf[EvaluateCard].getName)
    nullSafeCodeGen(ctx, ev, (entries, halfUs) => s"${ev.value} = $self.flags($entries, $halfUs);")
  }

  override protected def withNewChildrenInternal(left: Expression, right: Expression): EvaluateCard =
    copy(left, right)
}

/** Positions of the fields of an entry in a card's state. */
object Entry {
  val EventTimeUs = 0
  val Digest = 1
  val ArrivalUs = 2
  val TransactionId = 3
  val MerchantId = 4
  val Category = 5
  val AmountMinor = 6
  val Currency = 7
  val Country = 8
  val Channel = 9
  val Fields = 10
}

object CardEvaluator {
  val FlagType: StructType = StructType(
    Seq(
      StructField("digest", StringType),
      StructField("event_time_us", LongType),
      StructField("arrival_us", LongType),
      StructField("transaction_id", StringType),
      StructField("merchant_id", StringType),
      StructField("category", StringType),
      StructField("amount_minor", LongType),
      StructField("currency", StringType),
      StructField("country", StringType),
      StructField("channel", StringType),
      StructField("rules", StringType),
      StructField("score", IntegerType),
      StructField("alert", BooleanType),
      StructField("alone", BooleanType)))

  /** The order of the past, in which of copies the first to arrive comes first. */
  private val Order: util.Comparator[InternalRow] = (one, other) => {
    val byTime = java.lang.Long.compare(one.getLong(Entry.EventTimeUs), other.getLong(Entry.EventTimeUs))
    if (byTime != 0) byTime
    else {
      val byDigest = util.Arrays.compareUnsigned(one.getBinary(Entry.Digest), other.getBinary(Entry.Digest))
      if (byDigest != 0) byDigest
      else java.lang.Long.compare(one.getLong(Entry.ArrivalUs), other.getLong(Entry.ArrivalUs))
    }
  }
}

/** Evaluates rules on the transactions of a card and their past; fraudctl/rules/model.py is the specification. */
final class CardEvaluator(rules: RuleSet) {
  private val facts = new Facts

  def flags(entries: ArrayData, halfUs: Long): ArrayData = {
    val history = withoutCopies(entries)
    val lookBacks = rules.lookBacksUs.map(new LookBack(_))
    val pasts = lookBacks.map(_.past)
    val found = ArrayBuffer.empty[Any]
    var index = 0
    while (index < history.length) {
      val entry = history(index)
      lookBacks.foreach(_.advance(history, index))
      if (entry.getLong(Entry.EventTimeUs) >= halfUs) {
        facts.eventTimeUs = entry.getLong(Entry.EventTimeUs)
        facts.amountMinor = entry.getLong(Entry.AmountMinor)
        facts.category = entry.getUTF8String(Entry.Category)
        facts.country = entry.getUTF8String(Entry.Country)
        facts.channel = entry.getUTF8String(Entry.Channel)
        val verdict = rules.evaluate(facts, pasts)
        if (verdict.byCard) found += flag(entry, verdict)
      }
      index += 1
    }
    new GenericArrayData(found.toArray)
  }

  private def withoutCopies(entries: ArrayData): Array[InternalRow] = {
    val ordered = Array.tabulate(entries.numElements())(entries.getStruct(_, Entry.Fields))
    util.Arrays.sort(ordered, CardEvaluator.Order)
    ordered.indices
      .filter(index => index == 0 || !util.Arrays.equals(digest(ordered(index)), digest(ordered(index - 1))))
      .map(ordered(_))
      .toArray
  }

  private def digest(entry: InternalRow): Array[Byte] = entry.getBinary(Entry.Digest)

  private def flag(entry: InternalRow, verdict: Verdict): InternalRow =
    new GenericInternalRow(
      Array[Any](
        UTF8String.fromString(util.HexFormat.of().formatHex(digest(entry))),
        entry.getLong(Entry.EventTimeUs),
        entry.getLong(Entry.ArrivalUs),
        entry.getUTF8String(Entry.TransactionId),
        entry.getUTF8String(Entry.MerchantId),
        entry.getUTF8String(Entry.Category),
        entry.getLong(Entry.AmountMinor),
        entry.getUTF8String(Entry.Currency),
        entry.getUTF8String(Entry.Country),
        entry.getUTF8String(Entry.Channel),
        UTF8String.fromString(verdict.rules),
        verdict.score,
        verdict.alert,
        !verdict.byItself))
}

/** The past of one transaction after the other, over one length of time: each step adds one and drops what is too old. */
private final class LookBack(lengthUs: Long) {
  val past = new Past
  private val countries = new util.HashMap[UTF8String, Integer]()
  private val merchants = new util.HashMap[UTF8String, Integer]()
  private var oldest = 0

  def advance(history: Array[InternalRow], index: Int): Unit = {
    val entry = history(index)
    val nowUs = entry.getLong(Entry.EventTimeUs)
    past.count += 1
    past.sumMinor += entry.getLong(Entry.AmountMinor)
    countries.merge(entry.getUTF8String(Entry.Country), 1, (one: Integer, other: Integer) => one + other)
    merchants.merge(entry.getUTF8String(Entry.MerchantId), 1, (one: Integer, other: Integer) => one + other)
    while (history(oldest).getLong(Entry.EventTimeUs) <= nowUs - lengthUs) {
      val gone = history(oldest)
      past.count -= 1
      past.sumMinor -= gone.getLong(Entry.AmountMinor)
      remove(countries, gone.getUTF8String(Entry.Country))
      remove(merchants, gone.getUTF8String(Entry.MerchantId))
      oldest += 1
    }
    past.countries = countries.size
    past.merchants = merchants.size
    past.sincePreviousUs = if (past.count < 2) -1 else nowUs - history(index - 1).getLong(Entry.EventTimeUs)
  }

  private def remove(counted: util.HashMap[UTF8String, Integer], name: UTF8String): Unit = {
    counted.computeIfPresent(name, (_: UTF8String, number: Integer) => if (number == 1) null else number - 1)
    ()
  }
}
