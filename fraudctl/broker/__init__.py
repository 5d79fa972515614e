"""Clients of Kafka: topics, reads of exact offset ranges, and producers that account for every record."""
