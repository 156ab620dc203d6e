// SPDX-License-Identifier: GPL-2.0-only
/* Are listeners linked in lhash2 by their nulls node (5.17)? */
#include <net/inet_hashtables.h>

struct hlist_nulls_head *probe(struct inet_hashinfo *hashinfo);
struct hlist_nulls_head *probe(struct inet_hashinfo *hashinfo)
{
	return &hashinfo->lhash2[0].nulls_head;
}
