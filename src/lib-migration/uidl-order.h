/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UIDL_ORDER_H
#define UIDL_ORDER_H

/* The numbers by which Dovecot's POP3 server sorts: mails with a number first,
   by number, then those without one, by UID. Numbers that were stored once stay,
   so new ones must fit between them (pop3-order-of-its-own: mails are deleted
   between two runs, and POP3 message numbers of two sessions mean nothing to
   each other). */

struct uidl_order_mail {
	uint32_t uid;
	/* TRUE: already stored with this order, 0 = without one. */
	bool known;
	/* In: known order. Out: order to store, 0 = none needed. */
	uint32_t order;
};

/* Give each new mail its number. mails are in the POP3 server's order. Returns
   how many of the new mails cannot be put where the server has them, because
   their neighbours were stored without (or without room between) numbers. */
unsigned int
uidl_order_assign(struct uidl_order_mail *mails, unsigned int count);

#endif
