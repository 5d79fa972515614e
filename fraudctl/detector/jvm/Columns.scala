package org.apache.spark.sql.fraudctl

import org.apache.spark.rdd.RDD
import org.apache.spark.sql.{Column, Dataset, Row}
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions.Expression
import org.apache.spark.sql.classic
import org.apache.spark.sql.classic.ExpressionUtils

/** What Spark keeps to its own package, which is why this lies in it: columns and frames from the inside. */
object Columns {
  def of(expression: Expression): Column = ExpressionUtils.column(expression)

  def expression(column: Column): Expression = ExpressionUtils.expression(column)

  /** The rows of a frame as its plan gives them; a row is only valid until the next one. */
  def rows(frame: Dataset[Row]): RDD[InternalRow] =
    frame.asInstanceOf[classic.Dataset[Row]].queryExecution.toRdd
}
