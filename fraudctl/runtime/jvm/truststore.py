"""A trust store with a company's certificate authorities, for a Java that knows only its own."""

import hashlib
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
from cryptography.utils import CryptographyDeprecationWarning

from fraudctl.config.file_kinds import open_regular_file
from fraudctl.errors import ConfigError
from fraudctl.runtime.files import make_folder

# It protects nothing (the certificates are public); Java requires one.
PASSWORD = "changeit"
_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def ca_bundle(environ: Mapping[str, str]) -> Path | None:
    """Return the bundle of certificates that this user's other programs trust, if one is named."""
    named = (environ.get(name, "") for name in _VARIABLES)
    return next((Path(name) for name in named if name), None)


def java_truststore(bundle: Path, folder: Path) -> Path:
    """Write the certificates of a PEM bundle as a PKCS#12 trust store into `folder`; reuse an equal one.

    Raises:
        ConfigError: the bundle cannot be read, or holds no certificate.
    """
    try:
        with open_regular_file(bundle) as stream:
            content = stream.read()
        store = folder / f"truststore-{hashlib.sha256(content).hexdigest()[:16]}.p12"
        if store.is_file():
            return store
        found = [certificate for block in _CERTIFICATE.findall(content) for certificate in _parsed(block)]
    except OSError as error:
        raise _unreadable(bundle, error.strerror or str(error)) from error
    if not found:
        raise _unreadable(bundle, "it holds no certificate in PEM form")
    unique = {certificate.fingerprint(hashes.SHA256()): certificate for certificate in found}
    entries = [
        pkcs12.PKCS12Certificate(certificate, fingerprint.hex().encode())
        for fingerprint, certificate in sorted(unique.items())
    ]
    packed = pkcs12.serialize_java_truststore(entries, BestAvailableEncryption(PASSWORD.encode()))
    make_folder(folder)
    unfinished = store.with_suffix(".new")
    unfinished.write_bytes(packed)
    unfinished.chmod(0o644)
    unfinished.replace(store)
    return store


def _parsed(block: bytes) -> Iterator[x509.Certificate]:
    """Yield the certificate, or nothing if it breaks the standard.

    System bundles hold a few such old ones: they must not make all others unusable, and a server that needs
    one of them is refused by Java with a clear message.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        try:
            yield x509.load_pem_x509_certificate(block)
        except ValueError:
            return


def jvm_flags(store: Path) -> tuple[str, ...]:
    """Return the JVM flags that make Java use a trust store."""
    return (
        f"-Djavax.net.ssl.trustStore={store}",
        "-Djavax.net.ssl.trustStoreType=PKCS12",
        f"-Djavax.net.ssl.trustStorePassword={PASSWORD}",
    )


def _unreadable(bundle: Path, why: str) -> ConfigError:
    return ConfigError(
        f"the certificates in {bundle} cannot be read",
        detail=why,
        hint=f"correct or unset {' and '.join(_VARIABLES)}",
    )
