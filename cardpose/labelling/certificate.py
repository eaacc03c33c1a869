"""A certificate that this machine makes for itself: browsers give the camera only to pages by HTTPS."""

import ipaddress
import socket
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from platformdirs import user_cache_path

from cardpose.common.files import replace_file

DAYS = 365
"""Validity; iPhones refuse more than 398 days (https://support.apple.com/102028)."""
SPARE = timedelta(days=7)
"""A certificate that ends sooner is made anew."""


class Certificate(NamedTuple):
    """Its files in PEM."""

    chain: Path
    key: Path


def own_certificate(address: str, folder: Path | None = None) -> Certificate:
    """The certificate of this machine for an address, kept so that a phone that accepted it does not ask again.

    Args:
        address: an IP address or a name.
        folder: where it is kept; None: the user's cache folder.

    Raises:
        InputError: the folder cannot be written to.
    """
    folder = folder or user_cache_path("cardpose") / "certificate"
    files = Certificate(folder / "certificate.pem", folder / "key.pem")
    if not _fits(files, address):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make(files, address)
    return files


def _name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)


def _fits(files: Certificate, address: str) -> bool:
    """Whether there is one for the address that is valid for a while."""
    with suppress(OSError, ValueError, x509.ExtensionNotFound):
        found = x509.load_pem_x509_certificate(files.chain.read_bytes())
        key = serialization.load_pem_private_key(files.key.read_bytes(), None)
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        same = found.public_key() == key.public_key()
        return same and _name(address) in names and found.not_valid_after_utc > datetime.now(UTC) + SPARE
    return False


def _make(files: Certificate, address: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"cardpose on {socket.gethostname()}"[:64])])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([_name(address), x509.DNSName("localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # clocks differ
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    with replace_file(files.key) as temporary:
        temporary.touch(mode=0o600)
        temporary.chmod(0o600)
        temporary.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    with replace_file(files.chain) as temporary:
        temporary.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
