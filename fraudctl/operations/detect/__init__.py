"""The commands around the detector: plan, start, supervise and stop it, and check what it depends on."""
