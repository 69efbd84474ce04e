/* Runs the golden vectors through policy.h, on a host or on a board with a console. C99, also C++11.
 *
 *     cc -std=c99 -O2 check_golden.c -lm -o check_golden && ./check_golden
 *
 * Prints the largest errors and "golden: ok", and returns 0; otherwise it says which case differs and returns 1.
 */
#include <stdio.h>

#include "golden.h"
#include "policy.h"

static float worst_parameter = 0.0f;
static float worst_action = 0.0f;

static float difference(float a, float b) { return fabsf(a - b); }

static int check_case(int number) {
  const roadsense_golden_case *expected = &roadsense_golden_cases[number];
  roadsense_policy policy;
  float parameters[ROADSENSE_ACTION_PARAMETERS];
  float action = -1.0f;
  int i, failed = 0;
  failed |= roadsense_begin(&policy, &expected->ego) != ROADSENSE_OK;
  for (i = 0; i < expected->peer_count; ++i) {
    failed |= roadsense_add_peer(&policy, &roadsense_golden_peers[expected->first_peer + i]) != ROADSENSE_OK;
  }
  failed |= roadsense_action_parameters(&policy, parameters) != ROADSENSE_OK;
  failed |= roadsense_act(&policy, &action) != ROADSENSE_OK;
  for (i = 0; i < ROADSENSE_ACTION_PARAMETERS && !failed; ++i) {
    const float error = difference(parameters[i], expected->parameters[i]);
    worst_parameter = error > worst_parameter ? error : worst_parameter;
    failed |= !(error <= ROADSENSE_GOLDEN_PARAMETER_TOLERANCE);
  }
  if (!failed) {
    const float error = difference(action, expected->action);
    worst_action = error > worst_action ? error : worst_action;
    failed |= !(error <= ROADSENSE_GOLDEN_ACTION_TOLERANCE);
  }
  if (failed) {
    printf("golden: case %d with %d peers differs: action %.9g, expected %.9g\n", number, expected->peer_count, (double)action,
           (double)expected->action);
  }
  return failed;
}

/* NaN and infinity in every entry must be refused, and must leave the decision as it was; without an ego there is no decision. */
static int check_refusals(void) {
  const float bad[3] = {NAN, INFINITY, -INFINITY};
  const roadsense_golden_case *good = &roadsense_golden_cases[0];
  static roadsense_policy zeros; /* what a static policy is before its first decision */
  float undecided = -1.0f;
  int kind, entry, failed = 0;
  failed |= roadsense_act(&zeros, &undecided) != ROADSENSE_NOT_BEGUN || undecided > 0.0f || undecided < 0.0f;
  for (kind = 0; kind < 3; ++kind) {
    for (entry = 0; entry < ROADSENSE_EGO_SIZE; ++entry) {
      roadsense_ego ego = good->ego;
      roadsense_policy policy;
      float action = -1.0f;
      memcpy((char *)&ego + (size_t)entry * sizeof(float), &bad[kind], sizeof(float));
      failed |= roadsense_begin(&policy, &ego) != ROADSENSE_NOT_FINITE;
      failed |= roadsense_add_peer(&policy, &roadsense_golden_peers[0]) != ROADSENSE_NOT_BEGUN;
      failed |= roadsense_act(&policy, &action) != ROADSENSE_NOT_BEGUN || action > 0.0f || action < 0.0f;
    }
    for (entry = 0; entry < ROADSENSE_PEER_SIZE; ++entry) {
      roadsense_peer peer = roadsense_golden_peers[0];
      roadsense_policy policy;
      float before = -1.0f, after = -1.0f;
      memcpy((char *)&peer + (size_t)entry * sizeof(float), &bad[kind], sizeof(float));
      failed |= roadsense_begin(&policy, &good->ego) != ROADSENSE_OK;
      failed |= roadsense_act(&policy, &before) != ROADSENSE_OK;
      failed |= roadsense_add_peer(&policy, &peer) != ROADSENSE_NOT_FINITE;
      failed |= roadsense_act(&policy, &after) != ROADSENSE_OK || memcmp(&before, &after, sizeof before) != 0;
    }
  }
  if (failed) {
    printf("golden: a NaN or infinite input, or a decision without an ego, was not refused\n");
  }
  return failed;
}

int main(void) {
  int number, failed = check_refusals();
  for (number = 0; number < ROADSENSE_GOLDEN_CASES; ++number) {
    failed |= check_case(number);
  }
  printf("golden: %d cases, largest error %.3g of the action parameters, %.3g of the action; %u bytes of state\n", ROADSENSE_GOLDEN_CASES,
         (double)worst_parameter, (double)worst_action, (unsigned)sizeof(roadsense_policy));
  printf(failed ? "golden: FAILED\n" : "golden: ok\n");
  return failed ? 1 : 0;
}
