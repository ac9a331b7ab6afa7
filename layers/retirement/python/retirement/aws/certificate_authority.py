"""The certificate authority of a private Databrain server, in a file on S3 that the owner maintains."""

import ssl
from typing import TYPE_CHECKING

from retirement.aws.owners_file import read_owners_file
from retirement.environment import S3Location
from retirement.errors import ConfigurationError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Bytes: four times the size of all authorities that browsers trust.
SIZE_LIMIT = 1024 * 1024


def read_authority(s3: "S3Client", location: S3Location) -> ssl.SSLContext:
    """Return a TLS context that trusts the certificates in this file (PEM, one or more) and no others.

    Raises:
        ConfigurationError: the file cannot be read or contains no certificate; no other authority is trusted instead.
        AwsCallFailed: S3 did not answer.
    """
    file = read_owners_file(s3, "DatabrainCaUri", location, SIZE_LIMIT)
    certificates = file.body.decode("ascii", errors="ignore")  # comments between certificates may be in any language
    if "-----BEGIN CERTIFICATE-----" not in certificates:  # Python would take the public authorities for an empty text
        raise ConfigurationError(f"{file.where} contains no certificate in PEM format")
    try:
        context = ssl.create_default_context(cadata=certificates)
    except ssl.SSLError as error:
        raise ConfigurationError(f"{file.where} contains no certificate in PEM format: {error.reason}") from None
    # Since Python 3.13 a chain has to conform to RFC 5280, for example with key identifiers, which many private
    # authorities leave out.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
