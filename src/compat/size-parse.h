/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SIZE_PARSE_H
#define SIZE_PARSE_H

/* size_parse("16 M", &bytes, &error): sizes as settings have them. */
#if DOVECOT_PREREQ(2, 4, 0)
#  include "str-parse.h"
#  define size_parse str_parse_get_size
#else
#  include "settings-parser.h"
#  define size_parse settings_get_size
#endif

#endif
