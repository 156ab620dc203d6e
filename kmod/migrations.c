// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests that the kernel copies for another listener of their port.
 *
 * The timer of a request whose listener has closed copies it, and replaces it by
 * the copy. When that starts, the hook knows the original and the new listener,
 * but not the copy, which is made only later. The copy is recognized by what it
 * has of the original as soon as the timer goes on with it. From then on both are
 * known: a CPU that has found the original may promote it all the same, but its
 * node is the copy's by then.
 *
 * The key is noted, too, so that the search reads no original: a kprobe may have
 * missed that one was freed.
 */
#include <linux/tcp.h>
#include <net/inet_sock.h>
#include <net/request_sock.h>
#include <net/tcp.h>

#include "locks.h"
#include "migrations.h"

/**
 * tcps_migrations_init() - an empty list
 * @migrations: zeroed
 *
 * Context: Process context.
 */
void tcps_migrations_init(struct tcps_migrations *migrations)
{
	raw_spin_lock_init(&migrations->lock);
}

static struct tcps_migration_key key_of(const struct request_sock *req,
					const struct sock *listener)
{
	const struct tcp_request_sock *tcp = tcp_rsk(req);

	return (struct tcps_migration_key){
		.listener = listener,
		.hash = req->rsk_hash,
		.ports = req->__req_common.skc_portpair,
		.isn = tcp->snt_isn,
		.peer_isn = tcp->rcv_isn,
	};
}

static bool is_same(const struct tcps_migration_key *a, const struct tcps_migration_key *b)
{
	return a->listener == b->listener && a->hash == b->hash && a->ports == b->ports &&
	       a->isn == b->isn && a->peer_isn == b->peer_isn;
}

static bool is_awaited(const struct tcps_migration *migration)
{
	return migration->from && !migration->to;
}

/*
 * The next entry to use. One whose copy is not known yet is used last, because
 * the copy could not be recognized any more.
 */
static struct tcps_migration *next_entry(struct tcps_migrations *migrations)
{
	struct tcps_migration *migration;
	unsigned int i;

	lockdep_assert_held(&migrations->lock);
	for (i = 0; i < TCPS_MIGRATIONS; i++) {
		migration = &migrations->last[migrations->next++ % TCPS_MIGRATIONS];
		if (!is_awaited(migration))
			break;
	}
	return migration;
}

/**
 * tcps_migrations_expect() - a request is about to be copied
 * @migrations: the list
 * @from: the request
 * @listener: listening socket that the copy is for
 *
 * Context: Any, interrupts off. Takes the lock of @migrations.
 */
void tcps_migrations_expect(struct tcps_migrations *migrations, struct request_sock *from,
			    const struct sock *listener)
{
	struct tcps_migration *migration;

	lockdep_assert_irqs_disabled();
	raw_spin_lock(&migrations->lock);
	migration = next_entry(migrations);
	if (!migration->from)
		WRITE_ONCE(migrations->nr, migrations->nr + 1);
	migration->from = from;
	migration->to = NULL;
	migration->key = key_of(from, listener);
	raw_spin_unlock(&migrations->lock);
}

/**
 * tcps_migrations_original() - the request that another one is a copy of
 * @migrations: the list
 * @to: the other one
 *
 * Context: Any, interrupts off. Takes the lock of @migrations.
 * Return: the request; NULL: none, or it was asked for before.
 */
struct request_sock *tcps_migrations_original(struct tcps_migrations *migrations,
					      struct request_sock *to)
{
	const struct tcps_migration_key key = key_of(to, to->rsk_listener);
	struct request_sock *from = NULL;
	unsigned int i;

	lockdep_assert_irqs_disabled();
	raw_spin_lock(&migrations->lock);
	for (i = 0; i < TCPS_MIGRATIONS && !from; i++) {
		struct tcps_migration *migration = &migrations->last[i];

		if (is_awaited(migration) && migration->from != to &&
		    is_same(&migration->key, &key)) {
			migration->to = to;
			from = migration->from;
		}
	}
	raw_spin_unlock(&migrations->lock);
	return from;
}

/**
 * tcps_migrations_copy() - the copy of a request
 * @migrations: the list
 * @from: the request
 *
 * Context: Any, interrupts off. The lock of @migrations: while it is held the copy
 *	is not freed.
 * Return: the copy; NULL: none.
 */
struct request_sock *tcps_migrations_copy(const struct tcps_migrations *migrations,
					  const struct request_sock *from)
{
	unsigned int i;

	lockdep_assert_held(&migrations->lock);
	for (i = 0; i < TCPS_MIGRATIONS; i++)
		if (migrations->last[i].from == from && migrations->last[i].to)
			return migrations->last[i].to;
	return NULL;
}

/**
 * tcps_migrations_forget() - a request is about to be freed
 * @migrations: the list
 * @req: the request, an original or a copy
 *
 * Context: Any. Takes the lock of @migrations.
 */
void tcps_migrations_forget(struct tcps_migrations *migrations, const struct request_sock *req)
{
	unsigned long flags;
	unsigned int i;

	raw_spin_lock_irqsave(&migrations->lock, flags);
	for (i = 0; i < TCPS_MIGRATIONS; i++) {
		struct tcps_migration *migration = &migrations->last[i];

		if (migration->from && (migration->from == req || migration->to == req)) {
			migration->from = NULL;
			WRITE_ONCE(migrations->nr, migrations->nr - 1);
		}
	}
	raw_spin_unlock_irqrestore(&migrations->lock, flags);
}
