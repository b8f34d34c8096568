/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MAIL_OPENING_H
#define MAIL_OPENING_H

struct event;
struct istream;

/* What stock spends whenever it opens a mail, however small it is, and what can
   be spared where it is of no use to anybody. */

/* TRUE if an event below this one, such as a mail's, reaches nobody at debug level:
   neither a log, nor a metric, nor a core dump. Then it need not be made. Asked
   for once for many mails: it costs as much as a few events. */
bool mail_opening_is_unheard(struct event *event);

/* The stream of a mail of this many bytes, of which nothing was read yet. Streams
   begin with a buffer of 8 kB, and clear it; so do those on top of them. With a
   small mail they get one that is as large as the mail can become: its lines may
   be given other ends, or a header be added. */
void mail_opening_limit_buffers(struct istream *stream, uoff_t size);

#endif
