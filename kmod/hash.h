/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A hash of what strangers choose, such as addresses: of any two, who does not
 * know the key cannot do better than guess that they share a bucket. A sum of
 * products with random words, MULTILINEAR-HM of Lemire and Kaser, "Strongly
 * universal string hashing is fast" (2014): at a third of siphash's price, and
 * enough where nobody is told the result.
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
