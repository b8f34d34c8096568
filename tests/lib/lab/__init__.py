# SPDX-License-Identifier: LGPL-2.1-or-later
"""The test lab: real and scripted mail servers, sample mail, measurements.

Everything runs on loopback in the private namespace that `./dev test` makes.
See tests/lib/README.md.
"""

from lab.courier import Courier
from lab.cyrus import Cyrus
from lab.dovecot import (Dovecot, Namespace, Result, User, VERSIONS,
                         stocks_best)
from lab.tls import CA

__all__ = ["CA", "Courier", "Cyrus", "Dovecot", "Namespace", "Result", "User", "VERSIONS",
           "stocks_best"]
