/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SPECIAL_USE_H
#define SPECIAL_USE_H

#include "mailbox-list.h"

/* Special-use attributes (RFC 6154, RFC 8457) as LIST has them, and as Dovecot's
   flags of a mailbox. */

/* 0 if it is none of them. Case does not matter. */
enum mailbox_info_flags special_use_flag(const char *name);
/* Their names with blanks between them (data stack), "" for none. */
const char *special_use_names(enum mailbox_info_flags flags);

#endif
