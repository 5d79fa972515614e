"""The stack's key for digests of card numbers: made once, in a file that only its owner may read."""

import hashlib
import re
import secrets
from pathlib import Path

from fraudctl.clock import Deadline
from fraudctl.config.paths import StackPaths
from fraudctl.errors import RefusedError
from fraudctl.runtime.files import locked, make_folder, write_whole

_LOCK_SECONDS = 10.0
_KEY = re.compile(r"[0-9a-f]{64}")


def digest_key_file(paths: StackPaths) -> Path:
    """Return the path of the key's file, which need not exist."""
    return paths.secrets / "card-digest.key"


def read_or_make_digest_key(paths: StackPaths) -> bytes:
    """Return the key of 32 bytes, and make one if there is none.

    Raises:
        RefusedError: the file does not hold a key, or others may read it.
        NotReadyError: another process has been making one for too long.
    """
    file = digest_key_file(paths)
    make_folder(file.parent, mode=0o700)
    if not file.exists():
        # Two first runs at once must not make two keys.
        purpose = "making the key for digests of cards"
        with locked(file.with_suffix(".lock"), Deadline(_LOCK_SECONDS), purpose=purpose):
            if not file.exists():
                write_whole(file, secrets.token_hex(32) + "\n")
    if file.stat().st_mode & 0o077:
        raise RefusedError(
            f"the key for digests of cards in {file} may be read by others",
            detail="whoever has it can find the card numbers behind the digests",
            hint=f"chmod 600 {file}",
        )
    text = file.read_text(encoding="ascii", errors="replace").strip()
    if not _KEY.fullmatch(text):
        raise RefusedError(
            f"{file} does not hold a key for digests of cards",
            detail="it must hold 64 hexadecimal digits",
            hint="put the right file back; without it, remove this one: cards then get other digests",
        )
    return bytes.fromhex(text)


def key_name(key: bytes) -> str:
    """Return a name that tells keys apart and reveals none of them."""
    return hashlib.sha256(b"fraudctl card digest key\x00" + key).hexdigest()[:16]
