/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMPORT_SOURCE_MAIL_H
#define IMPORT_SOURCE_MAIL_H

struct mail;

/* A mail of the mailbox that is imported was allocated. Makes it cheaper to read
   where it is a Maildir's. */
void import_source_mail_allocated(struct mail *mail);

#endif
