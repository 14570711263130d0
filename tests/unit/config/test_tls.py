"""A listener's certificate is tried when the configuration is read."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from brokergate.config import ConfigError
from tests.unit.config.paper import load


def make_certificate(folder: Path, name: str, passphrase: bytes | None = None) -> tuple[Path, Path]:
    """A self-signed certificate and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36_500))
        .sign(key, hashes.SHA256())
    )
    locked = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    )
    return paths


def listener(folder: Path, **tls: object) -> Path:
    settings = ", ".join(f"{name}: {value}" for name, value in tls.items())
    file = folder / "c.yaml"
    file.write_text(
        f"accounts: {{paper: {{broker: paper}}}}\nserver: {{listen: {{address: 0.0.0.0:1, tls: {{{settings}}}}}}}\n"
    )
    return file


def test_a_certificate_with_its_key(tmp_path: Path) -> None:
    """Accepted off loopback, with clients' certificates and without."""
    certificate, key = make_certificate(tmp_path, "one")
    (one,) = load(listener(tmp_path, certificate=certificate, key=key)).server.listen
    assert one.tls is not None
    assert one.tls.client_ca is None
    (one,) = load(listener(tmp_path, certificate=certificate, key=key, client_ca=certificate)).server.listen
    assert one.tls is not None
    assert one.tls.client_ca == certificate


def test_what_cannot_be_used(tmp_path: Path) -> None:
    """Another's key, a key behind a passphrase (nobody is asked for it), no PEM at all: told before the start."""
    certificate, key = make_certificate(tmp_path, "one")
    other_certificate, other_key = make_certificate(tmp_path, "other")
    _, locked_key = make_certificate(tmp_path, "locked", b"passphrase")
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("nonsense")
    together = "cannot be used together"
    for settings, says in (
        ({"certificate": certificate, "key": other_key}, together),
        ({"certificate": other_certificate, "key": locked_key}, together),
        ({"certificate": nonsense, "key": key}, together),
        ({"certificate": certificate, "key": nonsense}, together),
        ({"certificate": certificate, "key": tmp_path}, "names as its key a file that does not exist"),
        (
            {"certificate": certificate, "key": key, "client_ca": nonsense},
            "client_ca that holds no certificate",
        ),
        ({"certificate": certificate, "key": key, "client_ca": key}, "client_ca that holds no certificate"),
    ):
        with pytest.raises(ConfigError, match=says) as caught:
            load(listener(tmp_path, **settings))
        assert "server.listen.tls" in str(caught.value)
