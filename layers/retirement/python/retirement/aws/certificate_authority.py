"""The certificate authority of a private Databrain server, which its owner keeps on S3."""

import ssl
from typing import TYPE_CHECKING

from retirement.aws.owners_file import read_owners_file
from retirement.environment import S3Location
from retirement.errors import ConfigurationError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Bytes; all authorities that browsers trust have a quarter of that.
SIZE_LIMIT = 1024 * 1024


def read_authority(s3: "S3Client", location: S3Location) -> ssl.SSLContext:
    """Trust the certificates in this file (PEM, one or more), and no others.

    Raises:
        ConfigurationError: the file cannot be read, or holds no certificate: nobody is trusted instead.
        AwsCallFailed: S3 did not answer.
    """
    file = read_owners_file(s3, "DatabrainCaUri", location, SIZE_LIMIT)
    certificates = file.body.decode("ascii", errors="ignore")  # in between there may be remarks in any language
    if "-----BEGIN CERTIFICATE-----" not in certificates:  # of nothing, Python would make the public authorities
        raise ConfigurationError(f"{file.where} holds no certificate in PEM")
    try:
        context = ssl.create_default_context(cadata=certificates)
    except ssl.SSLError as error:
        raise ConfigurationError(f"{file.where} holds no certificate in PEM: {error.reason}") from None
    # Python 3.13 wants of a chain what RFC 5280 does, key identifiers say, which many private authorities leave out.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
