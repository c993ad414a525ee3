"""Who made a bundle: an Ed25519 signature (RFC 8032) of its digest, which covers the project's name and every file.

It is off until a service has a public key and a training a private one. Then a service takes no bundle, wherever it
comes from, that was not signed by the holder of the private key, and whose files are not those that were signed.

It does not say that a bundle is good or new: whoever may move an alias can bring back any that was ever signed, and
whoever has the private key can sign anything. An older bundle goes out of use with its key.

``python -m portfolio_shared.signatures key FILE`` makes a key pair, ``sign FILE BUNDLE`` signs a folder. The private
key is a PEM file, as ``openssl genpkey -algorithm ed25519`` writes it too.
"""

import argparse
import base64
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from portfolio_shared.bundle import SIGNATURE_NAME, BundleError, bundle_digest

if TYPE_CHECKING:  # a library that only those load who have a key
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

VARIABLE = "PORTFOLIO_SIGNING_KEY"
KEY_BYTES, SIGNATURE_BYTES = 32, 64
_PURPOSE = b"portfolio bundle 1 "  # no signature of anything else counts as one of a bundle


class SigningKeyError(ValueError):
    """The private key that the environment names cannot be used; the message says what to do."""


def public_keys(text: str) -> list[bytes]:
    """Return the public keys that a setting holds: base64, with commas between; raises ValueError for anything else.

    >>> public_keys("not a key")
    Traceback (most recent call last):
    ValueError: expected public keys of Ed25519: 32 bytes in base64, with commas between
    """
    try:
        keys = [base64.b64decode(part.strip(), validate=True) for part in text.split(",") if part.strip()]
    except ValueError:
        keys = [b""]
    if any(len(key) != KEY_BYTES for key in keys):
        raise ValueError("expected public keys of Ed25519: 32 bytes in base64, with commas between")
    return keys


def check_signature(digest: str, signature: str, keys: Sequence[bytes]) -> None:
    """Raise `BundleError` unless `signature`, in base64, is one of a bundle's digest by one of the keys."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if not signature:
        raise BundleError(f"the bundle {digest[:12]} is not signed: sign it, or train with {VARIABLE} set")
    try:
        signed = base64.b64decode(signature, validate=True)
    except ValueError:
        signed = b""
    for key in keys:
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signed, _PURPOSE + digest.encode())
        except InvalidSignature:
            continue
        return
    raise BundleError(f"the signature of the bundle {digest[:12]} is not one of the key that this service has")


def signing_key() -> "Ed25519PrivateKey | None":
    """Return the private key in the file that the environment names, or None if it names none.

    Raises
    ------
    SigningKeyError
        If the file cannot be read or holds no such key.
    """
    path = os.environ.get(VARIABLE)
    return read_key(Path(path), f"{VARIABLE}: ") if path else None


def read_key(path: Path, who: str = "") -> "Ed25519PrivateKey":
    """Return the private key in a file, or raise SigningKeyError, which says who named the file."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise SigningKeyError(f"{who}the private key cannot be read: {error}") from None
    except (TypeError, ValueError, UnsupportedAlgorithm):  # their messages may hold a part of what is in the file
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningKeyError(f"{who}{path}: expected an Ed25519 key as PEM, without a password")
    return key


def sign(directory: Path, key: "Ed25519PrivateKey") -> None:
    """Write the signature of a complete bundle beside its manifest."""
    signature = key.sign(_PURPOSE + bundle_digest(directory).encode())
    (directory / SIGNATURE_NAME).write_bytes(base64.b64encode(signature) + b"\n")


def read_signature(directory: Path) -> str:
    """Return what stands beside a bundle's manifest, empty if nothing does; it is not checked."""
    path = directory / SIGNATURE_NAME
    if path.is_symlink() or not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(2 * SIGNATURE_BYTES).decode("ascii", errors="replace").strip()


@contextmanager
def private_copy(directory: Path) -> Iterator[Path]:
    """Yield a copy of a bundle, which nobody can change between its check and its load; errors name the bundle."""
    with TemporaryDirectory(prefix="bundle-") as folder:
        copied = Path(folder, "bundle")
        shutil.copytree(directory, copied, symlinks=True)  # which a check then refuses
        try:
            yield copied
        except BundleError as error:
            raise BundleError(str(error).replace(str(copied), str(directory))) from error


def make_key(path: Path) -> str:
    """Write a new private key, which nobody else may read, and return its public key; an existing file is an error."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = Ed25519PrivateKey.generate()
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return public_key_of(key)


def public_key_of(key: "Ed25519PrivateKey") -> str:
    """Return the public key as a setting holds it."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def main() -> None:
    """Make a key pair, or sign a folder."""
    parser = argparse.ArgumentParser(prog="python -m portfolio_shared.signatures")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, says in {"key": "make a private key and print its public key", "sign": "sign a bundle"}.items():
        commands.add_parser(name, help=says).add_argument("file", type=Path, help="of the private key")
    commands.choices["sign"].add_argument("bundle", type=Path, help="its folder")
    options = parser.parse_args()
    try:
        if options.command == "key":
            said = make_key(options.file)
        else:
            key = read_key(options.file)
            sign(options.bundle, key)
            said = f"{options.bundle / SIGNATURE_NAME}: a service takes it with the public key {public_key_of(key)}"
    except (BundleError, OSError, SigningKeyError) as error:
        sys.exit(str(error))
    sys.stdout.write(f"{said}\n")


if __name__ == "__main__":
    main()
