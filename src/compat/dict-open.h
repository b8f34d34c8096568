/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DICT_OPEN_H
#define DICT_OPEN_H

#include "dict.h"
#if DOVECOT_PREREQ(2, 4, 0)
#  include "settings.h"
#endif

/* Opens the dict that a setting names: 2.3's is an URI such as
   redis:host=127.0.0.1 (base_dir is where Dovecot's sockets are), 2.4's the name
   of a dict { } block within the block. At the top level it would become the
   dict of everything that uses one.
   Returns 0, or -1 and error_r (data stack). */
static inline int
dict_open(const char *name, const char *block ATTR_UNUSED,
	  const char *base_dir ATTR_UNUSED, struct event *parent,
	  struct dict **dict_r, const char **error_r)
{
#if DOVECOT_PREREQ(2, 4, 0)
	struct event *event = event_create(parent);
	int ret;

	settings_event_add_filter_name(event, block);
	ret = dict_init_filter_auto(event, name, dict_r, error_r);
	event_unref(&event);
	return ret <= 0 ? -1 : 0;
#else
	const struct dict_settings set = {
		.base_dir = base_dir, .event_parent = parent
	};

	return dict_init(name, &set, dict_r, error_r);
#endif
}

#endif
