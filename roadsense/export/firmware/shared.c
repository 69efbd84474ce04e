/* The policy as a shared object, for the closed loop on a host: one call per decision. */
#include "policy.h"

/* ego: ROADSENSE_EGO_SIZE numbers; peers: count times ROADSENSE_PEER_SIZE. Returns the first status that is not ROADSENSE_OK. */
int roadsense_decide(const float *ego, const float *peers, long count, float *parameters, float *action);

int roadsense_decide(const float *ego, const float *peers, long count, float *parameters, float *action) {
  roadsense_policy policy;
  roadsense_ego own;
  roadsense_peer peer;
  roadsense_status status;
  long i;
  memcpy(&own, ego, sizeof own);
  status = roadsense_begin(&policy, &own);
  for (i = 0; i < count && status == ROADSENSE_OK; ++i) {
    memcpy(&peer, peers + i * ROADSENSE_PEER_SIZE, sizeof peer);
    status = roadsense_add_peer(&policy, &peer);
  }
  if (status == ROADSENSE_OK) {
    status = roadsense_action_parameters(&policy, parameters);
  }
  if (status == ROADSENSE_OK) {
    status = roadsense_act(&policy, action);
  }
  return (int)status;
}
