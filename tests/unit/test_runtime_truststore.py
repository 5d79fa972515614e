"""A bundle of certificates becomes a trust store that Java can read."""

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fraudctl.config.paths import StackPaths
from fraudctl.errors import ConfigError
from fraudctl.runtime.jvm.java import find_java
from fraudctl.runtime.jvm.truststore import PASSWORD, ca_bundle, java_truststore


def authority(name: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=36_500))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def test_the_bundle_is_taken_from_the_environment() -> None:
    assert ca_bundle({}) is None
    assert ca_bundle({"REQUESTS_CA_BUNDLE": "/b"}) == Path("/b")
    assert ca_bundle({"SSL_CERT_FILE": "/a", "REQUESTS_CA_BUNDLE": "/b"}) == Path("/a")


def test_java_reads_every_certificate_of_the_bundle(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    first, second = authority("Corporate Root One"), authority("Corporate Root Two")
    bundle.write_bytes(b"# a comment\n" + first + second + first)
    store = java_truststore(bundle, tmp_path / "cache" / "java")
    paths = StackPaths(home=tmp_path, stack="default", cache=tmp_path / "cache")
    java = find_java(paths, {"PATH": "/nonexistent", "SSL_CERT_FILE": str(bundle)})
    assert f"-Djavax.net.ssl.trustStore={store}" in java.options
    keytool = (
        Path(java.executable.read_text(encoding="utf-8").rsplit("exec ", 1)[1].split()[0]).parent / "keytool"
    )
    said = subprocess.run(
        [keytool, "-list", "-v", "-keystore", store, "-storetype", "PKCS12", "-storepass", PASSWORD],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert "contains 2 entries" in said
    assert said.count("Entry type: trustedCertEntry") == 2
    assert "Corporate Root One" in said and "Corporate Root Two" in said


def test_an_equal_bundle_is_not_written_again_and_a_changed_one_is(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(authority("One"))
    store = java_truststore(bundle, tmp_path / "cache")
    written = store.stat().st_ino
    assert java_truststore(bundle, tmp_path / "cache").stat().st_ino == written
    bundle.write_bytes(authority("Two"))
    assert java_truststore(bundle, tmp_path / "cache") != store


def test_a_certificate_that_breaks_the_standard_is_passed_over(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    broken = b"-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----\n"
    bundle.write_bytes(broken + authority("Good"))
    assert java_truststore(bundle, tmp_path / "cache").is_file()


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_bundle_without_certificates_is_refused(tmp_path: Path, content: bytes | None) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        java_truststore(bundle, tmp_path / "cache")
    assert "SSL_CERT_FILE" in caught.value.hint


def test_a_bundle_that_is_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "bundle")
    with pytest.raises(ConfigError) as caught:
        java_truststore(tmp_path / "bundle", tmp_path)
    assert "it is a pipe, and not a file" in f"{caught.value.message} {caught.value.detail}"
