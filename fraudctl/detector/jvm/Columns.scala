package org.apache.spark.sql.fraudctl

import org.apache.spark.sql.Column
import org.apache.spark.sql.catalyst.expressions.Expression
import org.apache.spark.sql.classic.ExpressionUtils

/** Columns and Catalyst expressions: Spark keeps the way between them to its own package, so this lies in it. */
object Columns {
  def of(expression: Expression): Column = ExpressionUtils.column(expression)

  def expression(column: Column): Expression = ExpressionUtils.expression(column)
}
