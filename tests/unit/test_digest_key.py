"""The stack's key for digests of cards: made once, for its owner alone, and never taken for another one."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fraudctl.config.paths import stack_paths
from fraudctl.errors import RefusedError
from fraudctl.runtime.digest_key import digest_key_file, key_name, read_or_make_digest_key


def test_a_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    paths = stack_paths(tmp_path, "default")
    key = read_or_make_digest_key(paths)
    assert len(key) == 32
    assert read_or_make_digest_key(paths) == key
    assert digest_key_file(paths).stat().st_mode & 0o777 == 0o600
    assert paths.secrets.stat().st_mode & 0o777 == 0o700
    assert key.hex() not in key_name(key)


def test_stacks_have_different_keys(tmp_path: Path) -> None:
    keys = {read_or_make_digest_key(stack_paths(tmp_path, stack)) for stack in ("one", "two")}
    assert len(keys) == 2


def test_first_runs_at_once_make_one_key(tmp_path: Path) -> None:
    paths = stack_paths(tmp_path, "default")
    with ThreadPoolExecutor(8) as threads:
        keys = list(threads.map(lambda _: read_or_make_digest_key(paths), range(8)))
    assert len(set(keys)) == 1


@pytest.mark.parametrize("content", ["", "short", "x" * 64, "0" * 65])
def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, content: str) -> None:
    paths = stack_paths(tmp_path, "default")
    read_or_make_digest_key(paths)
    digest_key_file(paths).write_text(content)
    with pytest.raises(RefusedError, match="does not hold a key"):
        read_or_make_digest_key(paths)


def test_a_key_that_others_may_read_is_refused_with_the_remedy(tmp_path: Path) -> None:
    paths = stack_paths(tmp_path, "default")
    read_or_make_digest_key(paths)
    digest_key_file(paths).chmod(0o644)
    with pytest.raises(RefusedError) as caught:
        read_or_make_digest_key(paths)
    assert caught.value.hint == f"chmod 600 {digest_key_file(paths)}"
