"""Settings: their model, their layers, and strict reading of the YAML files of fraudctl."""
