/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "lib-event.h"
#include "llist.h"
#include "str.h"
#include "str-sanitize.h"
#include "safe-memset.h"
#include "sleep.h"
#include "time-util.h"
#include "mail-user.h"
#include "settings-loader.h"
#include "compat-oauth2.h"
#include "oauth2-cache.h"
#include "oauth2-fetch.h"
#include "oauth2-settings.h"
#include "oauth2-token.h"

/* A token of this process, and what befell it. */
struct kept_token {
	/* what it is for */
	char *key;
	char *token, *scope;
	uint64_t obtained_msecs, expires_msecs;
	/* the one that a server did not take latest, or that it is only
	   suspected not to take: then it serves as long as no other can be
	   had */
	char *refused;
	bool only_suspected;
	/* somebody else renews it, and nobody said when: ask for each login */
	bool is_for_one_login, had_its_login;
};

/* A problem that every other user would have as well. */
struct stopped_client {
	char *key;
	struct migration_oauth2_failure failure;
};

struct migration_oauth2_source {
	struct migration_oauth2_source *prev, *next;
	pool_t pool;
	struct mail_user *user;
	const struct migration_oauth2_settings *set;
	struct migration_oauth2_config config;
	enum migration_oauth2_grant grant;
	struct event *event;
	const char *password;
	const char *host;
	in_port_t port;

	/* what the latest get returned */
	char *latest_key;
	struct migration_oauth2_token latest;
	bool have_latest;
	/* ... and a login with it was begun */
	bool logged_in;
	struct migration_oauth2_failure failure;
	char *failure_text;
	char *challenge;
};

static struct event_category event_category_oauth2 = {
	.name = "migration-oauth2"
};
static ARRAY(struct kept_token *) kept_tokens;
static ARRAY(struct stopped_client) stopped_clients;
static struct migration_oauth2_source *all_sources = NULL;
static unsigned int source_counter = 0;

static uint64_t now_msecs(void)
{
	struct timeval tv;

	i_gettimeofday(&tv);
	return tv.tv_sec * 1000ULL + tv.tv_usec / 1000;
}

/* --- what the process keeps --- */

static struct kept_token *kept_get(const char *key)
{
	struct kept_token *kept;

	if (!array_is_created(&kept_tokens))
		i_array_init(&kept_tokens, 4);
	array_foreach_elem(&kept_tokens, kept) {
		if (strcmp(kept->key, key) == 0)
			return kept;
	}
	kept = i_new(struct kept_token, 1);
	kept->key = i_strdup(key);
	array_push_back(&kept_tokens, &kept);
	return kept;
}

static void free_secret(char **secret)
{
	if (*secret != NULL)
		safe_memset(*secret, 0, strlen(*secret));
	i_free_and_null(*secret);
}

static void kept_set(struct kept_token *kept,
		     const struct migration_oauth2_token *token)
{
	free_secret(&kept->token);
	i_free(kept->scope);
	kept->token = i_strdup(token->token);
	kept->scope = i_strdup(token->scope);
	kept->obtained_msecs = token->obtained_msecs;
	kept->expires_msecs = token->expires_msecs;
}

static void kept_free(struct kept_token *kept)
{
	free_secret(&kept->token);
	free_secret(&kept->refused);
	i_free(kept->scope);
	i_free(kept->key);
	i_free(kept);
}

void migration_oauth2_tokens_forget(void)
{
	struct kept_token *kept;
	struct stopped_client *stopped;

	if (array_is_created(&kept_tokens)) {
		array_foreach_elem(&kept_tokens, kept)
			kept_free(kept);
		array_free(&kept_tokens);
	}
	if (array_is_created(&stopped_clients)) {
		array_foreach_modifiable(&stopped_clients, stopped) {
			char *text = (char *)stopped->failure.text;

			i_free(text);
			i_free(stopped->key);
		}
		array_free(&stopped_clients);
	}
}

/* What all users of one client have in common. */
static const char *client_key(struct migration_oauth2_source *source)
{
	const struct migration_oauth2_config *config = &source->config;

	return t_strdup_printf("%s\n%s\n%s\n%s\n%s\n%s\n%s", config->provider,
			       config->tenant, config->token_url,
			       config->client_id, config->scope,
			       config->client_secret_file, config->key_file);
}

/* ... and what a token is for. A client's own token is for everybody. */
static const char *
token_key(struct migration_oauth2_source *source, const char *login_user)
{
	const struct migration_oauth2_config *config = &source->config;

	return t_strdup_printf("%s\n%d\n%s\n%s\n%s\n%s", client_key(source),
		source->grant, config->refresh_token_file, config->token_file,
		config->token_command,
		source->grant == MIGRATION_OAUTH2_GRANT_JWT ? login_user : "");
}

static const struct stopped_client *
stopped_find(struct migration_oauth2_source *source)
{
	const struct stopped_client *stopped;
	const char *key = client_key(source);

	if (!array_is_created(&stopped_clients))
		return NULL;
	array_foreach(&stopped_clients, stopped) {
		if (strcmp(stopped->key, key) == 0)
			return stopped;
	}
	return NULL;
}

static void stopped_add(struct migration_oauth2_source *source)
{
	struct stopped_client *stopped;

	if (!array_is_created(&stopped_clients))
		i_array_init(&stopped_clients, 1);
	stopped = array_append_space(&stopped_clients);
	stopped->key = i_strdup(client_key(source));
	stopped->failure.problem = source->failure.problem;
	stopped->failure.text = i_strdup(source->failure.text);
}

/* --- results --- */

static int
source_fail(struct migration_oauth2_source *source, const char *login_user,
	    enum migration_oauth2_problem problem, const char *advice,
	    const struct migration_oauth2_failure **failure_r)
{
	bool stops = migration_oauth2_problem_stops_run(problem);
	struct event_passthrough *e =
		event_create_passthrough(source->event)->
		set_name("migration_oauth2_token_finished")->
		add_str("login_user", login_user)->
		add_str("problem", migration_oauth2_problem_name(problem))->
		add_str("error", advice);

	i_free(source->failure_text);
	source->failure_text = i_strdup_printf(
		"No OAuth2 token for %s (%s, %s): %s%s",
		str_sanitize(login_user, 80), source->config.provider,
		migration_oauth2_grant_name(source->grant), advice,
		stops ? ". This stops the run: every user would be refused" :
		"");
	source->failure.problem = problem;
	source->failure.text = source->failure_text;
	source->have_latest = FALSE;
	if (stops)
		stopped_add(source);
	e_debug(e->event(), "%s", source->failure_text);
	*failure_r = &source->failure;
	return -1;
}

/* There is nothing better than the token that was suspected. */
static bool
source_reuse_suspected(struct migration_oauth2_source *source,
		       struct kept_token *kept)
{
	if (kept->refused == NULL || !kept->only_suspected ||
	    now_msecs() >= kept->expires_msecs)
		return FALSE;
	e_debug(source->event, "there is no newer token: using the old one");
	free_secret(&kept->token);
	kept->token = kept->refused;
	kept->refused = NULL;
	return TRUE;
}

static int
source_return(struct migration_oauth2_source *source, const char *login_user,
	      const struct kept_token *kept, const char *from,
	      const struct migration_oauth2_token **token_r)
{
	uint64_t now = now_msecs();
	long long secs = ((long long)kept->expires_msecs - (long long)now) / 1000;
	struct event_passthrough *e =
		event_create_passthrough(source->event)->
		set_name("migration_oauth2_token_finished")->
		add_str("login_user", login_user)->
		add_str("from", from)->
		add_int("lifetime_left", secs);

	i_free(source->latest_key);
	source->latest_key = i_strdup(kept->key);
	source->latest.token = kept->token;
	source->latest.scope = kept->scope;
	source->latest.obtained_msecs = kept->obtained_msecs;
	source->latest.expires_msecs = kept->expires_msecs;
	source->have_latest = TRUE;
	source->failure.problem = MIGRATION_OAUTH2_PROBLEM_NONE;
	e_debug(e->event(), "token for %s from the %s, good for %lld seconds",
		str_sanitize(login_user, 80), from, secs);
	*token_r = &source->latest;
	return 0;
}

/* --- where it comes from --- */

static bool
kept_is_usable(struct migration_oauth2_source *source,
	       const struct kept_token *kept)
{
	const struct migration_oauth2_token token = {
		.token = kept->token,
		.obtained_msecs = kept->obtained_msecs,
		.expires_msecs = kept->expires_msecs,
	};
	const char *reason;
	bool usable;

	if (kept->token == NULL ||
	    (kept->is_for_one_login && kept->had_its_login))
		return FALSE;
	usable = migration_oauth2_token_is_usable(&token, now_msecs(),
						  kept->refused, &reason);
	if (!usable)
		e_debug(source->event, "a new token is needed: %s", reason);
	return usable;
}

/* Returns TRUE if another process left a token that can be used; it is kept. */
static bool
cache_take(struct migration_oauth2_source *source, struct kept_token *kept,
	   struct migration_oauth2_cache *cache, uint64_t *not_before_r)
{
	struct migration_oauth2_cache_entry entry;
	struct migration_oauth2_token token;
	const char *reason, *error;
	int ret;

	*not_before_r = 0;
	ret = migration_oauth2_cache_read(cache, pool_datastack_create(),
					  &entry, &error);
	if (ret < 0) {
		e_error(source->event, "The shared token is not used "
			"(migration_oauth2_cache_dir): %s", error);
	}
	if (ret <= 0)
		return FALSE;
	*not_before_r = entry.not_before_msecs;
	if (entry.token == NULL)
		return FALSE;
	token.token = entry.token;
	token.scope = entry.scope == NULL ? "" : entry.scope;
	token.obtained_msecs = entry.obtained_msecs;
	token.expires_msecs = entry.expires_msecs;
	if (!migration_oauth2_token_is_usable(&token, now_msecs(),
					      kept->refused, &reason)) {
		e_debug(source->event, "the shared token is not used: %s",
			reason);
		return FALSE;
	}
	kept_set(kept, &token);
	return TRUE;
}

static void
cache_put(struct migration_oauth2_source *source,
	  struct migration_oauth2_cache *cache,
	  const struct migration_oauth2_cache_entry *entry)
{
	const char *error;

	if (cache != NULL &&
	    migration_oauth2_cache_write(cache, entry, &error) < 0) {
		/* the others ask for themselves */
		e_error(source->event, "The token cannot be shared "
			"(migration_oauth2_cache_dir): %s", error);
	}
}

static int
source_fetch(struct migration_oauth2_source *source, const char *login_user,
	     struct kept_token *kept, struct migration_oauth2_cache *cache,
	     uint64_t not_before,
	     const struct migration_oauth2_failure **failure_r)
{
	const struct migration_oauth2_fetch fetch = {
		.user = source->user,
		.event = source->event,
		.set = source->set,
		.config = &source->config,
		.grant = source->grant,
		.login_user = login_user,
		.not_before_msecs = not_before,
	};
	struct migration_oauth2_fetched fetched;
	struct migration_oauth2_cache_entry entry;

	i_zero(&entry);
	if (migration_oauth2_fetch(&fetch, &fetched) < 0) {
		if (fetched.not_before_msecs != 0) {
			entry.not_before_msecs = fetched.not_before_msecs;
			cache_put(source, cache, &entry);
		}
		if (migration_oauth2_problem_is_temporary(fetched.problem) &&
		    source_reuse_suspected(source, kept))
			return 0;
		return source_fail(source, login_user, fetched.problem,
				   fetched.advice, failure_r);
	}
	if (kept->refused != NULL && !kept->only_suspected &&
	    strcmp(kept->refused, fetched.token.token) == 0) {
		return source_fail(source, login_user,
			MIGRATION_OAUTH2_PROBLEM_SETTINGS,
			"the server did not take the token, and there is no "
			"other one", failure_r);
	}
	kept_set(kept, &fetched.token);
	kept->is_for_one_login = fetched.is_for_one_login;
	kept->had_its_login = FALSE;
	if (!fetched.is_for_one_login) {
		entry.token = fetched.token.token;
		entry.scope = fetched.token.scope;
		entry.obtained_msecs = fetched.token.obtained_msecs;
		entry.expires_msecs = fetched.token.expires_msecs;
		cache_put(source, cache, &entry);
	}
	return 0;
}

static int
source_get_locked(struct migration_oauth2_source *source,
		  const char *login_user, struct kept_token *kept,
		  const struct migration_oauth2_token **token_r,
		  const struct migration_oauth2_failure **failure_r)
{
	struct migration_oauth2_cache *cache = NULL;
	const char *dir, *error, *from = "token server";
	uint64_t not_before = 0;
	int ret;

	if (source->set->cache_dir[0] != '\0' &&
	    source->grant != MIGRATION_OAUTH2_GRANT_FILE) {
		dir = mail_user_home_expand(source->user,
					    source->set->cache_dir);
		ret = migration_oauth2_cache_lock(dir, kept->key,
						  source->set->timeout, &cache,
						  &error);
		if (ret < 0) {
			return source_fail(source, login_user,
				MIGRATION_OAUTH2_PROBLEM_SETTINGS,
				t_strdup_printf("migration_oauth2_cache_dir: %s",
						error), failure_r);
		}
		if (ret == 0) {
			return source_fail(source, login_user,
				MIGRATION_OAUTH2_PROBLEM_TEMPORARY,
				"another process has been asking for it longer "
				"than migration_oauth2_timeout", failure_r);
		}
	}
	if (source->grant == MIGRATION_OAUTH2_GRANT_FILE)
		from = "token file";
	else if (source->grant == MIGRATION_OAUTH2_GRANT_COMMAND)
		from = "token command";
	if (cache != NULL && cache_take(source, kept, cache, &not_before)) {
		from = "shared cache";
		ret = 0;
	} else {
		ret = source_fetch(source, login_user, kept, cache, not_before,
				   failure_r);
	}
	migration_oauth2_cache_unlock(&cache);
	return ret < 0 ? -1 :
		source_return(source, login_user, kept, from, token_r);
}

int migration_oauth2_source_get(struct migration_oauth2_source *source,
				const char *login_user,
				const struct migration_oauth2_token **token_r,
				const struct migration_oauth2_failure **failure_r)
{
	const struct stopped_client *stopped = stopped_find(source);
	struct kept_token *kept;
	int ret;

	if (stopped != NULL) {
		source->failure = stopped->failure;
		source->have_latest = FALSE;
		*failure_r = &source->failure;
		return -1;
	}
	T_BEGIN {
		kept = kept_get(token_key(source, login_user));
		if (kept_is_usable(source, kept)) {
			ret = source_return(source, login_user, kept,
					    "process", token_r);
		} else {
			ret = source_get_locked(source, login_user, kept,
						token_r, failure_r);
		}
	} T_END;
	return ret;
}

static void source_session_lost(struct migration_oauth2_source *source)
{
	struct kept_token *kept;

	if (!source->have_latest ||
	    !migration_oauth2_token_is_suspect(&source->latest, now_msecs()))
		return;
	kept = kept_get(source->latest_key);
	if (kept->token == NULL)
		return;
	e_debug(source->event, "the session has ended: its token is used again "
		"only if there is no other one");
	free_secret(&kept->refused);
	kept->refused = kept->token;
	kept->only_suspected = TRUE;
	kept->token = NULL;
	source->have_latest = FALSE;
}

int migration_oauth2_source_login(struct migration_oauth2_source *source,
				  const char *login_user,
				  const struct migration_oauth2_token **token_r,
				  const struct migration_oauth2_failure **failure_r)
{
	if (source->logged_in)
		source_session_lost(source);
	source->logged_in = FALSE;
	if (migration_oauth2_source_get(source, login_user, token_r,
					failure_r) < 0)
		return -1;
	source->logged_in = TRUE;
	kept_get(source->latest_key)->had_its_login = TRUE;
	return 0;
}

void migration_oauth2_source_refused(struct migration_oauth2_source *source,
				     const char *challenge)
{
	struct kept_token *kept;

	i_free(source->challenge);
	source->challenge = i_strdup(challenge);
	if (!source->have_latest)
		return;
	kept = kept_get(source->latest_key);
	if (kept->token == NULL)
		return;
	e_debug(source->event, "the token was refused%s%s: it is not used "
		"any more", challenge == NULL ? "" : ": ",
		challenge == NULL ? "" : challenge);
	free_secret(&kept->refused);
	kept->refused = kept->token;
	kept->only_suspected = FALSE;
	kept->token = NULL;
	source->have_latest = FALSE;
}

/* --- the source --- */

static const char *
source_path(struct migration_oauth2_source *source, const char *path)
{
	return p_strdup(source->pool, mail_user_home_expand(source->user, path));
}

static void source_expand_paths(struct migration_oauth2_source *source)
{
	struct migration_oauth2_config *config = &source->config;

	config->client_secret_file =
		source_path(source, config->client_secret_file);
	config->refresh_token_file =
		source_path(source, config->refresh_token_file);
	config->key_file = source_path(source, config->key_file);
	config->certificate_file =
		source_path(source, config->certificate_file);
	config->token_file = source_path(source, config->token_file);
	config->token_command = source_path(source, config->token_command);
}

/* Returns 1, 0 or -1 like migration_oauth2_source_init(). */
static int
source_choose(const struct migration_oauth2_settings *set,
	      enum migration_oauth2_grant *grant_r, const char **error_r)
{
	struct migration_oauth2_config config;

	migration_oauth2_settings_get_config(set, &config);
	if (strcmp(set->provider, "none") != 0) {
		return migration_oauth2_choose_grant(&config, grant_r,
						     error_r) < 0 ? -1 : 1;
	}
	if (!migration_oauth2_config_is_used(&config))
		return 0;
	*error_r = "migration_oauth2_provider is not set, but other "
		"migration_oauth2_* settings are: say google, microsoft, "
		"yahoo or custom";
	return -1;
}

int migration_oauth2_source_init(struct mail_user *user,
				 struct migration_oauth2_source **source_r,
				 const char **error_r)
{
	struct migration_oauth2_source *source;
	const struct migration_oauth2_settings *set;
	enum migration_oauth2_grant grant;
	const void *_set;
	pool_t pool;
	int ret;

	if (migration_settings_get(user, &migration_oauth2_setting_parser_info,
				   &_set, error_r) < 0)
		return -1;
	set = _set;
	ret = source_choose(set, &grant, error_r);
	if (ret <= 0) {
		migration_settings_free(set);
		return ret;
	}
	pool = pool_alloconly_create("migration oauth2", 1024);
	source = p_new(pool, struct migration_oauth2_source, 1);
	source->pool = pool;
	source->user = user;
	source->set = set;
	source->grant = grant;
	migration_oauth2_settings_get_config(set, &source->config);
	source_expand_paths(source);
	source->password = p_strdup_printf(pool, "migration-oauth2-source-%u",
					   ++source_counter);
	source->event = event_create(user->event);
	event_add_category(source->event, &event_category_oauth2);
	event_add_str(source->event, "provider", set->provider);
	event_add_str(source->event, "grant", migration_oauth2_grant_name(grant));
	event_set_append_log_prefix(source->event, "migration_oauth2: ");
	DLLIST_PREPEND(&all_sources, source);
	*source_r = source;
	return 1;
}

void migration_oauth2_source_deinit(struct migration_oauth2_source **_source)
{
	struct migration_oauth2_source *source = *_source;

	if (source == NULL)
		return;
	*_source = NULL;
	DLLIST_REMOVE(&all_sources, source);
	i_free(source->latest_key);
	i_free(source->failure_text);
	i_free(source->challenge);
	event_unref(&source->event);
	migration_settings_free(source->set);
	pool_unref(&source->pool);
}

const char *
migration_oauth2_source_get_challenge(struct migration_oauth2_source *source)
{
	return source->challenge;
}

const struct migration_oauth2_token *
migration_oauth2_source_get_latest(struct migration_oauth2_source *source)
{
	return source->have_latest ? &source->latest : NULL;
}

const struct migration_oauth2_failure *
migration_oauth2_source_get_failure(struct migration_oauth2_source *source)
{
	return source->failure.problem == MIGRATION_OAUTH2_PROBLEM_NONE ?
		NULL : &source->failure;
}

enum migration_oauth2_grant
migration_oauth2_source_get_grant(struct migration_oauth2_source *source)
{
	return source->grant;
}

const char *
migration_oauth2_source_get_provider(struct migration_oauth2_source *source)
{
	return source->config.provider;
}

unsigned int
migration_oauth2_source_get_timeout_secs(struct migration_oauth2_source *source)
{
	return source->set->timeout;
}

void migration_oauth2_source_set_server(struct migration_oauth2_source *source,
					const char *host, in_port_t port)
{
	source->host = p_strdup(source->pool, host);
	source->port = port;
}

void migration_oauth2_source_get_server(struct migration_oauth2_source *source,
					const char **host_r, in_port_t *port_r)
{
	*host_r = source->host;
	*port_r = source->port;
}

const char *
migration_oauth2_source_get_password(struct migration_oauth2_source *source)
{
	return source->password;
}

struct migration_oauth2_source *
migration_oauth2_source_find(const char *password)
{
	struct migration_oauth2_source *source = all_sources;

	while (source != NULL && strcmp(source->password, password) != 0)
		source = source->next;
	return source;
}
