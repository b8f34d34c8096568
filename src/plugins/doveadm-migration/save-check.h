/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SAVE_CHECK_H
#define SAVE_CHECK_H

/* Compares the size of each mail that a migration has saved with what its source
   sent. A mail that was cut or changed on the way is the finding
   "saved-size-differs". When the module is loaded: */
void save_check_init(void);

#endif
