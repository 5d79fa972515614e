package fraudctl

import scala.jdk.CollectionConverters._

import com.fasterxml.jackson.databind.{JsonNode, ObjectMapper}
import org.apache.spark.unsafe.types.UTF8String

/** What rules may ask of a transaction itself. */
final class Facts {
  var eventTimeUs: Long = 0L
  var amountMinor: Long = 0L
  var category: UTF8String = _
  var country: UTF8String = _
  var channel: UTF8String = _
}

/** What rules may ask of the past of a transaction with its card, the transaction itself included.
  *
  * @param sincePreviousUs microseconds since the transaction before it; -1 if there is none in this past
  */
final class Past {
  var count: Long = 0L
  var sumMinor: Long = 0L
  var countries: Long = 0L
  var merchants: Long = 0L
  var sincePreviousUs: Long = -1L
}

/** The verdict of all rules on one transaction.
  *
  * @param score points, 0 to 100
  * @param byCard a rule that looks back at the card matches
  * @param byItself a rule that asks of the transaction alone matches
  */
final case class Verdict(rules: String, score: Int, alert: Boolean, byCard: Boolean, byItself: Boolean)

/** A condition on the transaction itself. */
trait Condition {
  def holds(facts: Facts): Boolean
}

/** A condition on the transaction and its card's past. */
trait PastCondition {
  def holds(facts: Facts, past: Past): Boolean
}

/** One rule; `lookBackUs` is 0 where it asks of the transaction alone. */
final class Rule(
    val id: String,
    val weight: Int,
    val alerts: Boolean,
    val conditions: Array[Condition],
    val lookBackUs: Long,
    val pastConditions: Array[PastCondition]) {

  /** Whether all conditions on the transaction itself hold. */
  def holds(facts: Facts): Boolean = {
    var index = 0
    while (index < conditions.length) {
      if (!conditions(index).holds(facts)) return false
      index += 1
    }
    true
  }

  /** Whether all conditions hold, those on the past included. */
  def holds(facts: Facts, past: Past): Boolean =
    holds(facts) && pastConditions.forall(_.holds(facts, past))
}

/** A rules document as fraudctl.rules.model.RuleSet.document gives it, in JSON so that it travels to executors. */
final case class RulesDocument(json: String) {
  override def toString: String = "RulesDocument"
}

/** Rules that are evaluated together. fraudctl/rules/model.py is the specification.
  *
  * @param rules those that are enabled, in their order
  * @param alertScore from which score on a transaction raises an alert; more than 100 if none does
  */
final class RuleSet(rules: Array[Rule], alertScore: Int) {
  private val byItself: Array[Rule] = rules.filter(_.lookBackUs == 0)

  /** How far back rules look, each length once, in microseconds. */
  val lookBacksUs: Array[Long] = rules.map(_.lookBackUs).filter(_ > 0).distinct
  private val lookBackIndex: Array[Int] = rules.map(rule => lookBacksUs.indexOf(rule.lookBackUs))

  /** The verdict without the rules that look back; null if no rule matches. */
  def evaluate(facts: Facts): Verdict = {
    var index = 0
    while (index < byItself.length) {
      if (byItself(index).holds(facts)) return verdict(byItself.drop(index).filter(_.holds(facts)))
      index += 1
    }
    null
  }

  /** The verdict of all rules; `pasts` has one index for each of `lookBacksUs`. */
  def evaluate(facts: Facts, pasts: Array[Past]): Verdict = {
    val matching = rules.indices.filter { index =>
      val rule = rules(index)
      if (rule.lookBackUs == 0) rule.holds(facts) else rule.holds(facts, pasts(lookBackIndex(index)))
    }
    verdict(matching.map(rules).toArray)
  }

  private def verdict(matching: Array[Rule]): Verdict = {
    val score = math.min(RuleSet.ScoreMax, matching.map(_.weight).sum)
    Verdict(
      matching.map(_.id).mkString(","),
      score,
      alert = score >= alertScore || matching.exists(_.alerts),
      byCard = matching.exists(_.lookBackUs > 0),
      byItself = matching.exists(_.lookBackUs == 0))
  }
}

object RuleSet {
  val ScoreMax = 100
  private val Weekdays = Seq("mon", "tue", "wed", "thu", "fri", "sat", "sun")
  private val HourUs = 3600000000L
  // 1970-01-01 was a Thursday.
  private val FirstWeekday = 3
  // Millionths of a forest's score in one of the hundredths that rules speak of.
  private val Hundredth = 10000L

  /** Hours since 1970, rounded down. */
  def hours(eventTimeUs: Long): Long = Math.floorDiv(eventTimeUs, HourUs)

  def hourOfDay(eventTimeUs: Long): Int = Math.floorMod(hours(eventTimeUs), 24)

  /** Monday is 0. */
  def weekday(eventTimeUs: Long): Int =
    Math.floorMod(Math.floorDiv(hours(eventTimeUs), 24L) + FirstWeekday, 7)

  // A document with a forest in it is large: it is read once, not for each task of each batch.
  private val known = new java.util.concurrent.ConcurrentHashMap[String, RuleSet]()
  private val MostKnown = 16
  private val mapper = new ObjectMapper()

  /** The rules of a document; they have no state and may be used by several tasks at once. */
  def of(document: RulesDocument): RuleSet = {
    if (known.size >= MostKnown) known.clear() // of rules that were replaced long ago
    known.computeIfAbsent(document.json, json => read(mapper.readTree(json)))
  }

  private def read(document: JsonNode): RuleSet = {
    val enabled = document.get("rules").elements.asScala.filter(_.get("enabled").asBoolean).map(readRule)
    val alertScore = Option(document.get("alert_score")).map(_.asInt).getOrElse(ScoreMax + 1)
    new RuleSet(enabled.toArray, alertScore)
  }

  private def readRule(node: JsonNode): Rule = {
    val when = node.get("when")
    val forest = Option(when.get("model")).map(model => Forest.read(model.get("forest")))
    val scoreOver = Option(when.get("model")).map(_.get("score_over").asLong * Hundredth)
    val card = Option(when.get("card"))
    val lookBackMinutes = card.map(_.get("within_minutes").asLong)
      .orElse(forest.map(_.withinMinutes)).filter(_ > 0).getOrElse(0L)
    val ownModel: Option[Condition] =
      for (model <- forest if model.withinMinutes == 0; limit <- scoreOver)
        yield (facts: Facts) => model.score(facts, null) > limit
    val pastModel: Option[PastCondition] =
      for (model <- forest if model.withinMinutes > 0; limit <- scoreOver)
        yield (facts: Facts, past: Past) => model.score(facts, past) > limit
    new Rule(
      node.get("id").asText,
      node.get("weight").asInt,
      node.get("action").asText == "alert",
      (conditions(when) ++ ownModel).toArray,
      lookBackMinutes * 60L * 1000000L,
      (card.toSeq.flatMap(pastConditions) ++ pastModel).toArray)
  }

  private def conditions(when: JsonNode): Seq[Condition] = {
    val over = Option(when.get("amount_over")).map { limit =>
      val least = amounts(limit)
      (facts: Facts) => facts.amountMinor > least(facts.category, Long.MaxValue)
    }
    val under = Option(when.get("amount_under")).map { limit =>
      val most = amounts(limit)
      (facts: Facts) => facts.amountMinor < most(facts.category, Long.MinValue)
    }
    val hoursUtc = Option(when.get("hours_utc")).map { span =>
      val (first, end) = (span.get(0).asInt, span.get(1).asInt)
      (facts: Facts) => {
        val hour = hourOfDay(facts.eventTimeUs)
        if (first < end) hour >= first && hour < end else hour >= first || hour < end
      }
    }
    val weekdays = Option(when.get("weekdays")).map { names =>
      val days = new Array[Boolean](7)
      names.elements.asScala.foreach(name => days(Weekdays.indexOf(name.asText)) = true)
      (facts: Facts) => days(weekday(facts.eventTimeUs))
    }
    val named: Seq[Option[Facts => Boolean]] = for {
      (field, text) <- Seq[(String, Facts => UTF8String)](
        ("categories", _.category), ("countries", _.country), ("channels", _.channel))
      (key, wanted) <- Seq((field, true), (s"not_$field", false))
    } yield Option(when.get(key)).map { names =>
      val set = new java.util.HashSet[UTF8String]()
      names.elements.asScala.foreach(name => set.add(UTF8String.fromString(name.asText)))
      (facts: Facts) => set.contains(text(facts)) == wanted
    }
    (Seq(over, under, hoursUtc, weekdays) ++ named).flatten.map(asked => (facts: Facts) => asked(facts))
  }

  /** A limit for all categories, or one for some; the second argument is what holds for none of the others. */
  private def amounts(limit: JsonNode): (UTF8String, Long) => Long =
    if (limit.isObject) {
      val own = new java.util.HashMap[UTF8String, java.lang.Long]()
      limit.properties.forEach { entry =>
        own.put(UTF8String.fromString(entry.getKey), entry.getValue.asLong)
        ()
      }
      (category: UTF8String, other: Long) => {
        val found = own.get(category)
        if (found == null) other else found.longValue
      }
    } else {
      val all = limit.asLong
      (_: UTF8String, _: Long) => all
    }

  private def pastConditions(card: JsonNode): Seq[PastCondition] = {
    def over(key: String, value: Past => Long): Option[PastCondition] =
      Option(card.get(key)).map { node =>
        val limit = node.asLong
        (_: Facts, past: Past) => value(past) > limit
      }
    val since: Option[PastCondition] = Option(card.get("since_previous_under_seconds")).map { node =>
      val limitUs = node.asLong * 1000000L
      (_: Facts, past: Past) => past.sincePreviousUs >= 0 && past.sincePreviousUs < limitUs
    }
    Seq(
      over("count_over", _.count),
      over("sum_over", _.sumMinor),
      over("countries_over", _.countries),
      over("merchants_over", _.merchants),
      since).flatten
  }
}

/** A trained forest; fraudctl/rules/forest.py is the specification.
  *
  * @param withinMinutes how far back the features of a card's past look; 0 if there are none of them
  */
final class Forest private (
    features: Array[(Facts, Past) => Long],
    val withinMinutes: Long,
    trees: Array[Tree]) {

  /** The probability of fraud in millionths. */
  def score(facts: Facts, past: Past): Long = {
    val values = new Array[Long](features.length)
    var index = 0
    while (index < values.length) {
      values(index) = features(index)(facts, past)
      index += 1
    }
    var total = 0L
    index = 0
    while (index < trees.length) {
      total += trees(index).leaf(values)
      index += 1
    }
    total / trees.length
  }
}

private final class Tree(
    feature: Array[Int],
    threshold: Array[Long],
    left: Array[Int],
    right: Array[Int],
    value: Array[Long]) {

  def leaf(values: Array[Long]): Long = {
    var node = 0
    while (left(node) != node) node = if (values(feature(node)) <= threshold(node)) left(node) else right(node)
    value(node)
  }
}

object Forest {
  private val CategoryIs = "category="
  private val ChannelIs = "channel="

  /** Read the forest of a rule, as fraudctl.rules.forest.Forest gives it. */
  def read(node: JsonNode): Forest = {
    val withinMinutes = Option(node.get("within_minutes")).map(_.asLong).getOrElse(0L)
    val features = node.get("features").elements.asScala.map(name => feature(name.asText, withinMinutes * 60))
    val trees = node.get("trees").elements.asScala.map { tree =>
      new Tree(
        numbers(tree, "feature").map(_.toInt),
        numbers(tree, "threshold"),
        numbers(tree, "left").map(_.toInt),
        numbers(tree, "right").map(_.toInt),
        numbers(tree, "value"))
    }
    new Forest(features.toArray, withinMinutes, trees.toArray)
  }

  private def numbers(tree: JsonNode, key: String): Array[Long] =
    tree.get(key).elements.asScala.map(_.asLong).toArray

  private def feature(name: String, lookBackSeconds: Long): (Facts, Past) => Long = name match {
    case "amount_minor" => (facts, _) => facts.amountMinor
    case "hour_utc" => (facts, _) => RuleSet.hourOfDay(facts.eventTimeUs).toLong
    case "weekday" => (facts, _) => RuleSet.weekday(facts.eventTimeUs).toLong
    case "card_count" => (_, past) => past.count
    case "card_sum_minor" => (_, past) => past.sumMinor
    case "card_countries" => (_, past) => past.countries
    case "card_merchants" => (_, past) => past.merchants
    case "card_since_previous_seconds" =>
      (_, past) => if (past.sincePreviousUs < 0) lookBackSeconds else past.sincePreviousUs / 1000000L
    case _ if name.startsWith(CategoryIs) => isText(name.stripPrefix(CategoryIs), _.category)
    case _ if name.startsWith(ChannelIs) => isText(name.stripPrefix(ChannelIs), _.channel)
  }

  private def isText(wanted: String, text: Facts => UTF8String): (Facts, Past) => Long = {
    val name = UTF8String.fromString(wanted)
    (facts, _) => if (text(facts) == name) 1L else 0L
  }
}
