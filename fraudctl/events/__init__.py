"""Messages of the pipeline: transactions and alerts, their schema and their encoding."""
