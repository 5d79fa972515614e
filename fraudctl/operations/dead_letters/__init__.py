"""Operations on dead letters: list, show, purge and requeue them."""
