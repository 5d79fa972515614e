package org.apache.spark.sql.fraudctl

import java.util

import scala.collection.mutable

import org.apache.spark.rdd.RDD
import org.apache.spark.sql.{Dataset, Row}
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical.{LogicalPlan, UnaryNode}
import org.apache.spark.sql.classic
import org.apache.spark.sql.execution.{SparkPlan, SparkStrategy, UnaryExecNode}
import org.apache.spark.sql.types.{DataType, LongType, StringType}
import org.apache.spark.unsafe.types.UTF8String

/** Sums the transactions of each task by slide and category before Spark puts them into windows.
  *
  * A transaction lies in as many windows as there are slides in a window's length, all of them the same for the
  * transactions of one slide. Spark copies every row into each of its windows; of sums there are few to copy.
  * The state of the windows stays Spark's own.
  */
object SlideSums {

  /** The sums of a streaming frame with the columns event_time, category, amount_minor and flagged.
    *
    * One row or several for a slide and category: event_time (the slide's begin, still under its watermark),
    * category, count, flagged_count, amount_minor, flagged_amount_minor.
    *
    * @param slideUs the windows' slide, in microseconds
    */
  def of(frame: Dataset[Row], slideUs: Long): Dataset[Row] = {
    val rows = frame.asInstanceOf[classic.Dataset[Row]]
    val spark = rows.sparkSession
    if (!spark.experimental.extraStrategies.contains(SlideSumsStrategy)) {
      spark.experimental.extraStrategies = spark.experimental.extraStrategies :+ SlideSumsStrategy
    }
    val child = rows.queryExecution.analyzed
    def input(name: String): Attribute =
      child.output.find(_.name == name).getOrElse(throw new IllegalArgumentException(s"no column $name"))
    val keys = Seq(input("event_time"), input("category"))
    def sum(name: String): Attribute = AttributeReference(name, LongType, nullable = false)()
    val sums = Seq("count", "flagged_count", "amount_minor", "flagged_amount_minor").map(sum)
    classic.Dataset.ofRows(
      spark,
      SumBySlide(
        slideUs,
        keys ++ Seq(input("amount_minor"), input("flagged")),
        keys.map(_.newInstance()) ++ sums,
        child))
  }
}

/** @param inputs event_time, category, amount_minor, flagged */
case class SumBySlide(slideUs: Long, inputs: Seq[Attribute], output: Seq[Attribute], child: LogicalPlan)
    extends UnaryNode {
  override def producedAttributes: AttributeSet = AttributeSet(output)
  override protected def withNewChildInternal(newChild: LogicalPlan): SumBySlide = copy(child = newChild)
}

object SlideSumsStrategy extends SparkStrategy {
  override def apply(plan: LogicalPlan): Seq[SparkPlan] = plan match {
    case SumBySlide(slideUs, inputs, output, child) =>
      SumBySlideExec(slideUs, inputs, output, planLater(child)) :: Nil
    case _ => Nil
  }
}

case class SumBySlideExec(slideUs: Long, inputs: Seq[Attribute], output: Seq[Attribute], child: SparkPlan)
    extends UnaryExecNode {
  override def producedAttributes: AttributeSet = AttributeSet(output)

  override protected def doExecute(): RDD[InternalRow] = {
    val slide = slideUs
    val ordinals = inputs.map(input => child.output.indexWhere(_.exprId == input.exprId)).toArray
    require(!ordinals.contains(-1), "a column of the sums is missing")
    child.execute().mapPartitionsInternal(rows => new SummedRows(rows, ordinals, slide))
  }

  override protected def withNewChildInternal(newChild: SparkPlan): SumBySlideExec = copy(child = newChild)
}

/** The sums of one task's rows; when there are too many to hold, those so far come first. */
final class SummedRows(rows: Iterator[InternalRow], ordinals: Array[Int], slideUs: Long)
    extends Iterator[InternalRow] {
  private val Array(eventTime, category, amount, flagged) = ordinals
  // By the slide's begin and then by category: count, flagged count, amount, flagged amount.
  private val sums = new mutable.LongMap[util.HashMap[UTF8String, Array[Long]]]()
  private var held = 0
  private var ready: Iterator[InternalRow] = Iterator.empty
  private val toRow = UnsafeProjection.create(
    Array[DataType](LongType, StringType, LongType, LongType, LongType, LongType))

  override def hasNext: Boolean = {
    while (!ready.hasNext && rows.hasNext) {
      while (rows.hasNext && held < SummedRows.MostHeld) add(rows.next())
      ready = drained()
    }
    ready.hasNext
  }

  override def next(): InternalRow = ready.next()

  private def add(row: InternalRow): Unit = {
    val slide = Math.floorDiv(row.getLong(eventTime), slideUs) * slideUs
    val byCategory = sums.getOrElseUpdate(slide, new util.HashMap[UTF8String, Array[Long]]())
    val name = row.getUTF8String(category)
    var own = byCategory.get(name)
    if (own == null) {
      own = new Array[Long](4)
      byCategory.put(name.copy(), own) // the row's bytes are used again for the next row
      held += 1
    }
    val minor = row.getLong(amount)
    own(0) += 1
    own(2) = Math.addExact(own(2), minor)
    if (row.getBoolean(flagged)) {
      own(1) += 1
      own(3) = Math.addExact(own(3), minor)
    }
  }

  private def drained(): Iterator[InternalRow] = {
    val found = mutable.ArrayBuffer.empty[InternalRow]
    sums.foreach { case (slide, byCategory) =>
      byCategory.forEach { (name, own) =>
        found += new GenericInternalRow(Array[Any](slide, name, own(0), own(1), own(2), own(3)))
      }
    }
    sums.clear()
    held = 0
    found.iterator.map(toRow)
  }
}

object SummedRows {
  private val MostHeld = 100_000
}
