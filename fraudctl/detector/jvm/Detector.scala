package fraudctl

/** Placeholder for the JVM side of the detector. */
object Detector {

  /** Returns the name of the package that this code belongs to. */
  def name: String = "fraudctl"
}
