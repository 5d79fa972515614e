"""The profile `docker`: the services of compose.yaml as containers of one engine."""
