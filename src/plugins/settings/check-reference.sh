#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The pages of doc/ that the program writes are what it would write.
rc=0
for page in $(./print-reference); do
	if ! ./print-reference "$page" | diff "$srcdir/../../../doc/$page.md" -; then
		echo "doc/$page.md is not the code's: run ./dev reference" >&2
		rc=1
	fi
done
exit $rc
