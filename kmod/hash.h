/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A keyed hash for input that peers choose, such as addresses: without the key
 * nobody can choose two inputs that share a bucket. A sum of products with random
 * words, MULTILINEAR-HM of Lemire and Kaser, "Strongly universal string hashing
 * is fast" (2014). It costs a third of siphash, and is enough because the hash
 * never leaves the kernel.
 */
#ifndef TCPS_HASH_H
#define TCPS_HASH_H

#include <linux/random.h>
#include <linux/types.h>

#define TCPS_HASH_WORDS_MAX	12

struct tcps_hash_key {
	u64 first;
	u64 words[TCPS_HASH_WORDS_MAX];
};

static inline void tcps_hash_key_init(struct tcps_hash_key *key)
{
	get_random_bytes(key, sizeof(*key));
}

/* @nr is even. */
static __always_inline u32 tcps_hash(const struct tcps_hash_key *key, const u32 *words,
				     unsigned int nr)
{
	u64 sum = key->first;
	unsigned int i;

	for (i = 0; i < nr; i += 2)
		sum += (words[i] + key->words[i]) * (words[i + 1] + key->words[i + 1]);
	return sum >> 32;
}

#endif
