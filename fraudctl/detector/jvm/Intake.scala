package fraudctl

import java.io.{ByteArrayOutputStream, FileOutputStream}
import java.util

import scala.collection.mutable.ArrayBuffer
import scala.jdk.CollectionConverters._
import scala.util.Using

import com.fasterxml.jackson.core.{JsonFactory, JsonGenerator}
import com.fasterxml.jackson.databind.ObjectMapper
import org.apache.spark.{SparkContext, TaskContext}
import org.apache.spark.sql.{Column, Dataset, Row}
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions.{Expression, GenericInternalRow, Nondeterministic}
import org.apache.spark.sql.catalyst.expressions.QuaternaryExpression
import org.apache.spark.sql.catalyst.expressions.codegen.{CodegenContext, ExprCode}
import org.apache.spark.sql.catalyst.expressions.codegen.Block._
import org.apache.spark.sql.fraudctl.Columns
import org.apache.spark.sql.types._
import org.apache.spark.util.AccumulatorV2

/** What decides on one record besides the rules, as JSON so that it travels to executors.
  *
  * Keys of the JSON: `events` (fields, max_bytes, schema_version, amount_min, amount_max, categories, currency),
  * `late_us`, `future_us`, `reasons` (in the order of fraudctl/events/schema.py), `payload_bytes`,
  * `batch_payload_bytes`, `brief_bytes`.
  *
  * @param looksBack whether rules on a card's past may be asked, so that the query needs more of each record
  */
final case class IntakeSettings(json: String, looksBack: Boolean) {
  override def toString: String = "IntakeSettings"
}

/** What one task has read: counted by Kafka partition, and its rejected and alerting records as JSON lines. */
final class TaskIntake(
    val partitions: util.HashMap[Integer, Array[Long]],
    val rejected: Array[Array[Byte]],
    val alerts: Array[Array[Byte]])
    extends Serializable

/** Collects what every task of a micro-batch has read, by the task's index.
  *
  * A task that runs again reads the same records and replaces what it brought before, so retries and lost
  * executors change nothing: unlike sums in an accumulator this is exact.
  */
final class IntakeAccumulator extends AccumulatorV2[(Int, TaskIntake), util.Map[Integer, TaskIntake]] {
  private val tasks = new util.concurrent.ConcurrentHashMap[Integer, TaskIntake]()

  override def isZero: Boolean = tasks.isEmpty

  override def copy(): IntakeAccumulator = {
    val result = new IntakeAccumulator
    result.tasks.putAll(tasks)
    result
  }

  override def reset(): Unit = tasks.clear()

  override def add(task: (Int, TaskIntake)): Unit = tasks.put(task._1, task._2)

  override def merge(other: AccumulatorV2[(Int, TaskIntake), util.Map[Integer, TaskIntake]]): Unit =
    tasks.putAll(other.value)

  override def value: util.Map[Integer, TaskIntake] = tasks
}

/** The driver's side: the column that takes records in, the batch's rows, and what its tasks have reported.
  *
  * @param settings the JSON of IntakeSettings
  * @param rules a rules document
  */
final class Intake(context: SparkContext, settings: String, rules: String, looksBack: Boolean) {
  private val accumulator = new IntakeAccumulator
  context.register(accumulator)

  /** A struct of what the query needs of an admitted record; null for any other one.
    *
    * @param arrival when the record arrived, a timestamp
    */
  def column(value: Column, partition: Column, offset: Column, arrival: Column): Column =
    Columns.of(
      TakeIn(
        Columns.expression(value),
        Columns.expression(partition),
        Columns.expression(offset),
        Columns.expression(arrival),
        IntakeSettings(settings, looksBack),
        RulesDocument(rules),
        accumulator))

  /** Run the batch; its rows are written to a file as JSON lines, an array of all columns each.
    *
    * One job and no plan of its own. What tasks report to the accumulator is of this batch from here on.
    * Through files, as Python's gateway stands still for 40 ms (TCP's delayed acknowledgement) with each answer
    * of more than some kilobytes.
    */
  def collect(batch: Dataset[Row], file: String): Unit = {
    accumulator.reset()
    val types = batch.schema.fields.map(_.dataType)
    val lines = new JsonLines
    Columns.rows(batch).map(_.copy()).collect().foreach { row =>
      lines.line { line =>
        var column = 0
        while (column < types.length) {
          if (row.isNullAt(column)) line.writeNull()
          else {
            types(column) match {
              case LongType => line.writeNumber(row.getLong(column))
              case IntegerType => line.writeNumber(row.getInt(column))
              case BooleanType => line.writeBoolean(row.getBoolean(column))
              case StringType => line.writeString(row.getUTF8String(column).toString)
              case other => throw new IllegalArgumentException(s"a batch has no columns of type $other")
            }
          }
          column += 1
        }
      }
    }
    write(file, Iterator(lines.chunks()))
  }

  /** Kafka partition, records read, oldest and newest arrival (µs), as a JSON array for each partition. */
  def partitions(): String = {
    val totals = new util.TreeMap[Integer, Array[Long]]()
    accumulator.value.values.forEach { task =>
      task.partitions.forEach { (partition, counted) =>
        totals.merge(
          partition,
          counted,
          (one: Array[Long], other: Array[Long]) =>
            Array(one(0) + other(0), math.min(one(1), other(1)), math.max(one(2), other(2))))
        ()
      }
    }
    totals.asScala
      .map { case (partition, counted) => s"[$partition,${counted.mkString(",")}]" }
      .mkString("[", ",", "]")
  }

  /** Write lines of [partition, offset, reason, arrival_us, payload, payload_bytes], the payload in base64. */
  def rejected(file: String): Unit = write(file, tasks.map(_.rejected))

  /** Write lines of an alert's fields in the order of fraudctl.database.landing.Alert. */
  def alerts(file: String): Unit = write(file, tasks.map(_.alerts))

  private def tasks: Iterator[TaskIntake] = accumulator.value.values.iterator.asScala

  private def write(file: String, chunks: Iterator[Array[Array[Byte]]]): Unit =
    Using.resource(new FileOutputStream(file))(out => chunks.foreach(_.foreach(chunk => out.write(chunk))))
}

/** Parses, admits and judges one record; rejected and alerting ones are also kept for the driver.
  *
  * Nondeterministic, so that the optimizer evaluates it once for every record and moves nothing across it.
  */
case class TakeIn(
    first: Expression,
    second: Expression,
    third: Expression,
    fourth: Expression,
    settings: IntakeSettings,
    rules: RulesDocument,
    accumulator: IntakeAccumulator)
    extends QuaternaryExpression
    with Nondeterministic {

  @transient private var reader: RecordReader = _

  override def dataType: StructType = RecordReader.schemaOf(settings)
  override def nullable: Boolean = true
  override def prettyName: String = "take_in"
  override def toString: String = s"take_in($first)"

  override protected def initializeInternal(partitionIndex: Int): Unit =
    reader = new RecordReader(settings, RuleSet.of(rules), accumulator)

  override protected def evalInternal(input: InternalRow): Any =
    take(
      first.eval(input).asInstanceOf[Array[Byte]],
      second.eval(input).asInstanceOf[Int],
      third.eval(input).asInstanceOf[Long],
      fourth.eval(input).asInstanceOf[Long])

  /** Called by generated code. */
  def take(value: Array[Byte], partition: Int, offset: Long, arrivalUs: Long): InternalRow =
    reader.take(value, partition, offset, arrivalUs)

  override protected def doGenCode(ctx: CodegenContext, ev: ExprCode): ExprCode = {
    val self = ctx.addReferenceObj("takeIn", this, classOf[TakeIn].getName)
    ctx.addPartitionInitializationStatement(s"$self.initialize(partitionIndex);")
    val Seq(value, partition, offset, arrival) = children.map(_.genCode(ctx))
    val bytes = ctx.freshName("bytes")
    ev.copy(code = code"""
      ${value.code}
      ${partition.code}
      ${offset.code}
      ${arrival.code}
      byte[] $bytes = ${value.isNull} ? null : ${value.value};
      InternalRow ${ev.value} = $self.take($bytes, ${partition.value}, ${offset.value}, ${arrival.value});
      boolean ${ev.isNull} = ${ev.value} == null;""")
  }

  override protected def withNewChildrenInternal(
      first: Expression, second: Expression, third: Expression, fourth: Expression): TakeIn =
    copy(first, second, third, fourth)
}

object RecordReader {
  private val mapper = new ObjectMapper()
  private val needed = StructType(
    Seq(
      StructField("digest", BinaryType),
      StructField("event_time", TimestampType),
      StructField("category", StringType),
      StructField("amount_minor", LongType),
      StructField("flagged", BooleanType)))
  // What rules on a card's past and their flags need on top.
  private val looksBack = StructType(
    needed.fields ++ Seq(
      StructField("partition", IntegerType),
      StructField("arrival_us", LongType),
      StructField("transaction_id", StringType),
      StructField("card_id", StringType),
      StructField("merchant_id", StringType),
      StructField("currency", StringType),
      StructField("country", StringType),
      StructField("channel", StringType)))

  /** How many payloads each task of a batch keeps whole, so that all of them fit into memory several times over. */
  def payloadsKeptWhole(batchPayloadBytes: Long, payloadBytes: Int, tasks: Int): Long =
    math.max(1L, batchPayloadBytes / (payloadBytes + 1) / tasks)

  /** What `take` gives of an admitted record. */
  def schemaOf(settings: IntakeSettings): StructType = if (settings.looksBack) looksBack else needed
}

/** Takes in the records of one task; what it has kept is handed on when the task ends well. */
final class RecordReader(settings: IntakeSettings, rules: RuleSet, accumulator: IntakeAccumulator) {
  import EventParser._

  private val document = RecordReader.mapper.readTree(settings.json)
  private val events = document.get("events")
  private val parser = new EventParser(
    EventLimits(
      events.get("max_bytes").asInt,
      events.get("schema_version").asLong,
      events.get("amount_min").asLong,
      events.get("amount_max").asLong,
      events.get("categories").elements.asScala.map(_.asText).toSeq,
      events.get("currency").asText))
  private val lateUs = document.get("late_us").asLong
  private val futureUs = document.get("future_us").asLong
  private val reasons = document.get("reasons").elements.asScala.map(_.asText).toArray
  private val late = reasons.length - 2
  private val future = reasons.length - 1
  private val payloadBytes = document.get("payload_bytes").asInt
  private val briefBytes = math.min(payloadBytes, document.get("brief_bytes").asInt)
  require(events.get("fields").elements.asScala.map(_.asText).sameElements(FieldNames), "another event schema")

  private val facts = new Facts
  private val partitions = new util.HashMap[Integer, Array[Long]]()
  private var lastPartition = -1
  private var counted: Array[Long] = _
  private val rejected = new JsonLines
  private val alerts = new JsonLines
  private val task = Option(TaskContext.get())
  private val wholePayloads = RecordReader.payloadsKeptWhole(
    document.get("batch_payload_bytes").asLong, payloadBytes, task.map(_.numPartitions()).getOrElse(1))
  task.foreach(_.addTaskCompletionListener[Unit] { ended =>
    if (!ended.isFailed() && !ended.isInterrupted()) {
      accumulator.add(ended.partitionId() -> new TaskIntake(partitions, rejected.chunks(), alerts.chunks()))
    }
  })

  /** What the query needs of the record if it is admitted, else null. */
  def take(value: Array[Byte], partition: Int, offset: Long, arrivalUs: Long): InternalRow = {
    count(partition, arrivalUs)
    val outcome = parser.parse(value)
    if (outcome != WellFormed) return reject(value, partition, offset, arrivalUs, outcome - 1)
    val lagUs = arrivalUs - parser.eventTimeUs
    if (lagUs > lateUs) return reject(value, partition, offset, arrivalUs, late)
    if (lagUs < -futureUs) return reject(value, partition, offset, arrivalUs, future)
    facts.eventTimeUs = parser.eventTimeUs
    facts.amountMinor = parser.amountMinor
    facts.category = parser.text(Category)
    facts.country = parser.text(Country)
    facts.channel = parser.text(Channel)
    val verdict = rules.evaluate(facts)
    val digest = parser.digest()
    if (verdict != null && verdict.alert) keepAlert(digest, arrivalUs, verdict)
    if (settings.looksBack) {
      new GenericInternalRow(
        Array[Any](
          digest, facts.eventTimeUs, facts.category, facts.amountMinor, verdict != null, partition, arrivalUs,
          parser.text(TransactionId), parser.text(CardId), parser.text(MerchantId), parser.text(Currency),
          facts.country, facts.channel))
    } else {
      new GenericInternalRow(
        Array[Any](digest, facts.eventTimeUs, facts.category, facts.amountMinor, verdict != null))
    }
  }

  private def count(partition: Int, arrivalUs: Long): Unit = {
    if (partition != lastPartition) {
      counted = partitions.computeIfAbsent(partition, _ => Array(0L, Long.MaxValue, Long.MinValue))
      lastPartition = partition
    }
    counted(0) += 1
    if (arrivalUs < counted(1)) counted(1) = arrivalUs
    if (arrivalUs > counted(2)) counted(2) = arrivalUs
  }

  private def reject(
      value: Array[Byte], partition: Int, offset: Long, arrivalUs: Long, reason: Int): InternalRow = {
    val length = if (value == null) 0 else value.length
    val kept = if (rejected.written < wholePayloads) payloadBytes else briefBytes
    // Looked at somewhat beyond what is kept, so that a card's number that is cut in two is still seen.
    val payload =
      if (length == 0) Array.emptyByteArray else util.Arrays.copyOf(value, math.min(length, payloadBytes + 64))
    CardNumbers.mask(payload)
    rejected.line { line =>
      line.writeNumber(partition)
      line.writeNumber(offset)
      line.writeString(reasons(reason))
      line.writeNumber(arrivalUs)
      line.writeBinary(payload, 0, math.min(kept, payload.length))
      line.writeNumber(length)
    }
    null
  }

  private def keepAlert(digest: Array[Byte], arrivalUs: Long, verdict: Verdict): Unit =
    alerts.line { line =>
      line.writeString(util.HexFormat.of().formatHex(digest))
      line.writeString(parser.text(TransactionId).toString)
      line.writeString(parser.text(CardId).toString)
      line.writeString(parser.text(MerchantId).toString)
      line.writeNumber(facts.eventTimeUs)
      line.writeString(facts.category.toString)
      line.writeNumber(facts.amountMinor)
      line.writeString(parser.text(Currency).toString)
      line.writeString(facts.country.toString)
      line.writeString(facts.channel.toString)
      line.writeNumber(arrivalUs)
      line.writeNumber(verdict.score)
      line.writeString(verdict.rules)
    }
}

/** JSON arrays, one a line, in chunks of some megabytes. */
final class JsonLines {
  private val done = ArrayBuffer.empty[Array[Byte]]
  private var buffer: ByteArrayOutputStream = _
  private var generator: JsonGenerator = _

  /** How many lines there are. */
  var written: Long = 0L

  def line(fill: JsonGenerator => Unit): Unit = {
    if (generator == null) {
      buffer = new ByteArrayOutputStream(4096)
      generator = JsonLines.factory.createGenerator(buffer)
      generator.setRootValueSeparator(null)
    }
    generator.writeStartArray()
    fill(generator)
    generator.writeEndArray()
    generator.writeRaw('\n')
    written += 1
    if (written % 64 == 0) {
      generator.flush()
      if (buffer.size >= JsonLines.ChunkBytes) finish()
    }
  }

  def chunks(): Array[Array[Byte]] = {
    if (generator != null) finish()
    done.toArray
  }

  private def finish(): Unit = {
    generator.close()
    done += buffer.toByteArray
    buffer = null
    generator = null
  }
}

object JsonLines {
  private val ChunkBytes = 2 * 1024 * 1024
  private val factory = new JsonFactory()
}
