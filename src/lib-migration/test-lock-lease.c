/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "lock-lease.h"
#include "check-suite.h"

#define LEASE 10000
#define SETTLE 1000

/* what is read when, and what follows; a write is acknowledged after so long */
static const struct {
	const char *what;
	struct {
		unsigned int at;
		const char *value;
		enum lock_lease_action action;
		unsigned int write_msecs;
	} steps[6];
} tests[] = {
	{ "free", {
		{ 0, NULL, LOCK_LEASE_WRITE, 10 },
		{ 10, "me 1", LOCK_LEASE_WAIT, 0 },
		{ 1009, "me 1", LOCK_LEASE_WAIT, 0 },
		{ 1010, "me 1", LOCK_LEASE_TAKEN, 0 } } },
	{ "another one was later, and lives", {
		{ 0, NULL, LOCK_LEASE_WRITE, 10 },
		{ 10, "me 1", LOCK_LEASE_WAIT, 0 },
		{ 1010, "you 1", LOCK_LEASE_WAIT, 0 },
		{ 2000, "you 2", LOCK_LEASE_BUSY, 0 } } },
	{ "the write came late", {
		{ 0, NULL, LOCK_LEASE_WRITE, 501 },
		{ 501, "me 1", LOCK_LEASE_WAIT, 0 },
		{ 10501, "me 1", LOCK_LEASE_WRITE, 10 },
		{ 11510, "me 1", LOCK_LEASE_WAIT, 0 },
		{ 11511, "me 1", LOCK_LEASE_TAKEN, 0 } } },
	{ "the write came late, and somebody lives", {
		{ 0, NULL, LOCK_LEASE_WRITE, 501 },
		{ 501, "me 1", LOCK_LEASE_WAIT, 0 },
		{ 751, "you 7", LOCK_LEASE_BUSY, 0 } } },
	{ "held", {
		{ 0, "you 1", LOCK_LEASE_WAIT, 0 },
		{ 250, "you 1", LOCK_LEASE_WAIT, 0 },
		{ 500, "you 2", LOCK_LEASE_BUSY, 0 } } },
	{ "held by a dead one", {
		{ 0, "you 1", LOCK_LEASE_WAIT, 0 },
		{ 9999, "you 1", LOCK_LEASE_WAIT, 0 },
		{ 10000, "you 1", LOCK_LEASE_WRITE, 10 },
		{ 10010, "me 1", LOCK_LEASE_WAIT, 0 },
		{ 11010, "me 1", LOCK_LEASE_TAKEN, 0 } } },
	{ "given back meanwhile", {
		{ 0, "you 1", LOCK_LEASE_WAIT, 0 },
		{ 250, NULL, LOCK_LEASE_WRITE, 10 },
		{ 1260, "me 1", LOCK_LEASE_TAKEN, 0 } } },
	{ "a token that begins with ours is another one", {
		{ 0, "me2 1", LOCK_LEASE_WAIT, 0 },
		{ 250, "me2 2", LOCK_LEASE_BUSY, 0 } } },
};

START_TEST(test_steps)
{
	struct lock_lease lease;
	unsigned int i, wait;

	lock_lease_init(&lease, "me", LEASE, SETTLE);
	for (i = 0; i == 0 || tests[_i].steps[i].at != 0; i++) {
		ck_assert_msg(lock_lease_next(&lease, tests[_i].steps[i].at,
				tests[_i].steps[i].value, &wait) ==
			      tests[_i].steps[i].action, "%s, step %u",
			      tests[_i].what, i);
		ck_assert_int_eq(wait > 0, tests[_i].steps[i].action ==
				 LOCK_LEASE_WAIT);
		if (tests[_i].steps[i].action == LOCK_LEASE_WRITE) {
			lock_lease_written(&lease, tests[_i].steps[i].at +
					   tests[_i].steps[i].write_msecs);
		}
	}
	lock_lease_deinit(&lease);
}
END_TEST

START_TEST(test_late)
{
	struct lock_lease lease;

	lock_lease_init(&lease, "me", LEASE, SETTLE);
	lock_lease_written(&lease, 1000);
	ck_assert(!lock_lease_is_late(&lease, 1000 + LEASE / 2));
	ck_assert(lock_lease_is_late(&lease, 1001 + LEASE / 2));
	ck_assert_uint_lt(lock_lease_interval(&lease), LEASE / 2);
}
END_TEST

/* Many at once, each with its own delays and pauses: never do two have it. */
#define PLAYERS 4

struct player {
	struct lock_lease lease;
	char token[8];
	uint64_t next_at, write_lands_at, acknowledged_at;
	bool writing, taken, out;
};

/* the same numbers for the same seed */
static unsigned int random_state;

static unsigned int random_below(unsigned int limit)
{
	random_state = random_state * 1103515245U + 12345U;
	return (random_state >> 8) % limit;
}

static void player_read(struct player *player, uint64_t now, const char *value)
{
	unsigned int wait;

	switch (lock_lease_next(&player->lease, now, value, &wait)) {
	case LOCK_LEASE_WAIT:
		/* a busy machine is late */
		player->next_at = now + wait + random_below(300);
		break;
	case LOCK_LEASE_WRITE:
		player->writing = TRUE;
		player->write_lands_at = now + random_below(900);
		player->acknowledged_at = player->write_lands_at + random_below(300);
		player->next_at = player->acknowledged_at;
		break;
	case LOCK_LEASE_TAKEN:
		player->taken = TRUE;
		break;
	case LOCK_LEASE_BUSY:
		player->out = TRUE;
		break;
	}
}

START_TEST(test_never_two)
{
	struct player players[PLAYERS];
	char value[16] = "";
	unsigned int i, taken = 0;
	uint64_t now;

	random_state = _i + 1;
	memset(players, 0, sizeof(players));
	for (i = 0; i < PLAYERS; i++) {
		i_snprintf(players[i].token, sizeof(players[i].token), "p%u", i);
		lock_lease_init(&players[i].lease, players[i].token, LEASE,
				SETTLE);
		players[i].next_at = random_below(2000);
	}
	for (now = 0; now < 60000; now++) {
		for (i = 0; i < PLAYERS; i++) {
			struct player *player = &players[i];

			if (player->writing && now == player->write_lands_at) {
				i_snprintf(value, sizeof(value), "%s 0",
					   player->token);
			}
			if (player->writing && now == player->acknowledged_at) {
				player->writing = FALSE;
				lock_lease_written(&player->lease, now);
			}
			/* the holder shows that it lives */
			if (player->taken && now % 2000 == 0) {
				i_snprintf(value, sizeof(value), "%s %u",
					   player->token, (unsigned int)now);
			}
			if (!player->writing && !player->taken &&
			    !player->out && now >= player->next_at) {
				player_read(player, now,
					    *value == '\0' ? NULL : value);
				if (player->taken)
					taken++;
			}
		}
	}
	ck_assert_msg(taken <= 1, "seed %d: %u", _i + 1, taken);
	for (i = 0; i < PLAYERS; i++)
		lock_lease_deinit(&players[i].lease);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "lock-lease");

	tcase_add_loop_test(tc, test_steps, 0, N_ELEMENTS(tests));
	tcase_add_test(tc, test_late);
	tcase_add_loop_test(tc, test_never_two, 0, 200);
	return check_suite_run(s);
}
