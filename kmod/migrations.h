/* SPDX-License-Identifier: GPL-2.0-only */
/* Requests that the kernel copies for another listener of their port. */
#ifndef TCPS_MIGRATIONS_H
#define TCPS_MIGRATIONS_H

#include <linux/compiler.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <net/sock.h>

struct request_sock;

/* What a copy has in common with its original, and with no other request. */
struct tcps_migration_key {
	const struct sock *listener;	/* that the copy is for */
	u32 hash;			/* of the addresses and ports */
	__portpair ports;
	u32 isn;			/* of this side */
	u32 peer_isn;
};

/* A request, and its copy as soon as that is known. */
struct tcps_migration {
	struct request_sock *from;	/* NULL: free */
	struct request_sock *to;	/* NULL: not known yet */
	struct tcps_migration_key key;
};

#define TCPS_MIGRATIONS	64

/*
 * Those whose original is there, and whose copy was not freed: few are at any
 * time.
 * Locking rule: @lock is raw and taken with interrupts off. See locks.h for the
 * order of locks.
 */
struct tcps_migrations {
	raw_spinlock_t lock;
	unsigned int nr;	/* in use; read without the lock */
	unsigned int next;
	struct tcps_migration last[TCPS_MIGRATIONS];
};

/**
 * tcps_migrations_any() - is a request being copied, or was it just now?
 * @migrations: the list
 *
 * Context: Any.
 */
static inline bool tcps_migrations_any(const struct tcps_migrations *migrations)
{
	return READ_ONCE(migrations->nr);
}

void tcps_migrations_init(struct tcps_migrations *migrations);

/* Interrupts are off. */
void tcps_migrations_expect(struct tcps_migrations *migrations, struct request_sock *from,
			    const struct sock *listener);
struct request_sock *tcps_migrations_original(struct tcps_migrations *migrations,
					      struct request_sock *to);

/* The lock is held. */
struct request_sock *tcps_migrations_copy(const struct tcps_migrations *migrations,
					  const struct request_sock *from);

void tcps_migrations_forget(struct tcps_migrations *migrations, const struct request_sock *req);

#endif
