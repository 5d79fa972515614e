"""Training of models, and of forests for rules, on simulated or recorded transactions."""
