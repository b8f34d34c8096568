/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMAPC_GREETING_H
#define IMAPC_GREETING_H

struct imapc_client;

/* imapc-greeting: imapc reads the server's greeting for its capabilities and
   shows it to nobody. Runs the client as imapc_client_run() does, until
   imapc_client_stop(), and sets greeting to the first line that a server sends
   on a connection that is made meanwhile, without its line end ("* OK [...]
   ready"). It is left as it is if there is none. */
void imapc_client_run_greeted(struct imapc_client *client, string_t *greeting);

#endif
