/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef JSON_ESCAPE_H
#define JSON_ESCAPE_H

/* json_append_escaped(), which both Dovecots have under the same name, in
   headers of different names. */
#if DOVECOT_PREREQ(2, 4, 0)
#  include "json-generator.h"
#else
#  include "json-parser.h"
#endif

#endif
