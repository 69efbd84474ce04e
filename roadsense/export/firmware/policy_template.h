/* A trained RoadSense policy in portable C99 (also C++11): no runtime, no allocation, any number of peers.
 *
 * @PROVENANCE@
 *
 * Once per decision (10 Hz):
 *
 *     roadsense_policy policy;
 *     float action;
 *     roadsense_begin(&policy, &ego);
 *     for each peer heard: roadsense_add_peer(&policy, &peer);
 *     roadsense_act(&policy, &action);
 *
 * `action` is 0, or a fraction of full braking above ROADSENSE_RELEASE_THRESHOLD; at 0 the driver has the car. Inputs are in physical
 * units, angles in radians counter-clockwise; normalisation is inside. The order of the peers does not matter.
 *
 * A value that is NaN or infinite is refused: begin or add_peer returns ROADSENSE_NOT_FINITE. A refused peer is left out and the others
 * count on; after a refused ego the action is 0 and act says ROADSENSE_NOT_BEGUN, as it does for a policy of zeros (a static one).
 *
 * A policy is a plain value of sizeof(roadsense_policy) bytes; nothing here is shared, so several may be used at once.
 */
#ifndef ROADSENSE_POLICY_H
#define ROADSENSE_POLICY_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef __FAST_MATH__
#error "compile without -ffast-math: it changes sums, and the errors in manifest.json no longer hold"
#endif

#define ROADSENSE_WEIGHTS_SHA256 "@WEIGHTS_SHA256@"
#define ROADSENSE_RELEASE_THRESHOLD @RELEASE_THRESHOLD@
#define ROADSENSE_EGO_SIZE @EGO_SIZE@
#define ROADSENSE_PEER_SIZE @PEER_SIZE@
#define ROADSENSE_EGO_INPUTS @EGO_INPUTS@
#define ROADSENSE_PEER_INPUTS @PEER_INPUTS@
#define ROADSENSE_ENCODER_INPUTS @ENCODER_INPUTS@
#define ROADSENSE_ENCODED @ENCODED@
#define ROADSENSE_POOLED @POOLED@
#define ROADSENSE_HEAD_INPUTS (ROADSENSE_EGO_INPUTS + ROADSENSE_POOLED)
#define ROADSENSE_ACTION_PARAMETERS @ACTION_PARAMETERS@
#define ROADSENSE_WIDEST @WIDEST@

typedef enum {
  ROADSENSE_OK = 0,
  ROADSENSE_NOT_FINITE = 1, /* an input was NaN or infinite and has been refused */
  ROADSENSE_NOT_BEGUN = 2   /* no accepted roadsense_begin came before */
} roadsense_status;

/* What the car knows of itself. */
typedef struct {
@EGO_FIELDS@
} roadsense_ego;

/* One peer that was heard, in the ego's frame. */
typedef struct {
@PEER_FIELDS@
} roadsense_peer;

/* One decision in the making. */
typedef struct {
  float inputs[ROADSENSE_HEAD_INPUTS]; /* the squashed ego, then the pooled peers (a mean is kept as a sum until the end) */
  uint32_t peer_count;
  uint32_t is_begun; /* 0 in a policy of zeros, as static ones are: nothing is decided before an ego was accepted */
} roadsense_policy;

@WEIGHTS@

/* By bits, because the compiler may not be trusted with isfinite under every flag. */
static inline int roadsense_is_finite(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return (bits & UINT32_C(0x7f800000)) != UINT32_C(0x7f800000);
}

/* Every entry twice, as it is and magnified, both squashed: inputs has twice `count` places. */
static inline roadsense_status roadsense_squash(const float *physical, const float *scales, int count, float *inputs) {
  int i;
  for (i = 0; i < count; ++i) {
    if (!roadsense_is_finite(physical[i])) {
      return ROADSENSE_NOT_FINITE;
    }
  }
  for (i = 0; i < count; ++i) {
    const float entry = physical[i] / scales[i];
    inputs[i] = tanhf(entry);
    inputs[count + i] = tanhf(@MAGNIFIED@ * entry);
  }
  return ROADSENSE_OK;
}

/* What the network is given of the ego: ROADSENSE_EGO_INPUTS numbers in [-1, 1]. Untouched when the ego is refused. */
static inline roadsense_status roadsense_ego_inputs(const roadsense_ego *ego, float *inputs) {
  static const float scales[ROADSENSE_EGO_SIZE] = {@EGO_SCALES@};
  const float physical[ROADSENSE_EGO_SIZE] = {@EGO_VALUES@};
  return roadsense_squash(physical, scales, ROADSENSE_EGO_SIZE, inputs);
}

/* What the peer encoder is given of a peer: ROADSENSE_PEER_INPUTS numbers in [-1, 1]. Untouched when the peer is refused. */
static inline roadsense_status roadsense_peer_inputs(const roadsense_peer *peer, float *inputs) {
  static const float scales[ROADSENSE_PEER_SIZE] = {@PEER_SCALES@};
  @CONST_PEER@float physical[ROADSENSE_PEER_SIZE] = {@PEER_VALUES@};
@MIRROR@  return roadsense_squash(physical, scales, ROADSENSE_PEER_SIZE, inputs);
}

/* y = W x + b, with W row by row, then a ReLU if asked for. */
static inline void roadsense_linear(const float *weights, const float *bias, int inputs, int outputs, int relu, const float *x, float *y) {
  int row, column;
  for (row = 0; row < outputs; ++row) {
    float sum = 0.0f;
    for (column = 0; column < inputs; ++column) {
      sum += weights[row * inputs + column] * x[column];
    }
    sum += bias[row];
    y[row] = (relu && sum < 0.0f) ? 0.0f : sum;
  }
}

/* log(1 + exp(x)) without overflow. */
static inline float roadsense_softplus(float x) {
  return (x > 0.0f ? x : 0.0f) + log1pf(expf(x > 0.0f ? -x : x));
}

/* Alpha or beta of the amount, between 1 and 1 + @CONCENTRATION_LIMIT@. */
static inline float roadsense_concentration(float raw) {
  const float soft = roadsense_softplus(raw);
  return 1.0f + @CONCENTRATION_LIMIT@ * soft / (@CONCENTRATION_LIMIT@ + soft);
}

/* The action that the three action parameters (gate logit, raw alpha, raw beta) mean. */
static inline float roadsense_action(const float *parameters) {
  const float alpha = roadsense_concentration(parameters[1]);
  const float beta = roadsense_concentration(parameters[2]);
  const float amount = ROADSENSE_RELEASE_THRESHOLD + (1.0f - ROADSENSE_RELEASE_THRESHOLD) * alpha / (alpha + beta);
  return parameters[0] > @LEAST_GATE_LOGIT@ ? amount : 0.0f;
}

static inline roadsense_status roadsense_begin(roadsense_policy *policy, const roadsense_ego *ego) {
  int i;
  policy->peer_count = 0;
  policy->is_begun = 0;
  for (i = ROADSENSE_EGO_INPUTS; i < ROADSENSE_HEAD_INPUTS; ++i) {
    policy->inputs[i] = 0.0f; /* the encoder ends in ReLU, so 0 is the neutral element of maximum and sum, and the value of no peers */
  }
  if (roadsense_ego_inputs(ego, policy->inputs) != ROADSENSE_OK) {
    return ROADSENSE_NOT_FINITE;
  }
  policy->is_begun = 1;
  return ROADSENSE_OK;
}

static inline void roadsense_encode(const float *inputs, float *encoded) {
  float a[ROADSENSE_WIDEST];
  float b[ROADSENSE_WIDEST];
  memcpy(a, inputs, ROADSENSE_ENCODER_INPUTS * sizeof(float));
@ENCODER_CALLS@
  memcpy(encoded, @ENCODER_RESULT@, ROADSENSE_ENCODED * sizeof(float));
}

static inline roadsense_status roadsense_add_peer(roadsense_policy *policy, const roadsense_peer *peer) {
  float inputs[ROADSENSE_ENCODER_INPUTS];
  float encoded[ROADSENSE_ENCODED];
  float *pooled = policy->inputs + ROADSENSE_EGO_INPUTS;
  int i;
  if (!policy->is_begun) {
    return ROADSENSE_NOT_BEGUN;
  }
  if (roadsense_peer_inputs(peer, inputs) != ROADSENSE_OK) {
    return ROADSENSE_NOT_FINITE;
  }
@BESIDE_EGO@  roadsense_encode(inputs, encoded);
  for (i = 0; i < ROADSENSE_ENCODED; ++i) {
@POOL_STEPS@
  }
  policy->peer_count += 1;
  return ROADSENSE_OK;
}

/* The three numbers behind the action; `policy` may go on being used. */
static inline roadsense_status roadsense_action_parameters(const roadsense_policy *policy, float *parameters) {
  float a[ROADSENSE_WIDEST];
  float b[ROADSENSE_WIDEST];
  if (!policy->is_begun) {
    return ROADSENSE_NOT_BEGUN;
  }
  memcpy(a, policy->inputs, ROADSENSE_HEAD_INPUTS * sizeof(float));
@MEAN_STEP@@HEAD_CALLS@
  memcpy(parameters, @HEAD_RESULT@, ROADSENSE_ACTION_PARAMETERS * sizeof(float));
  return ROADSENSE_OK;
}

static inline roadsense_status roadsense_act(const roadsense_policy *policy, float *action) {
  float parameters[ROADSENSE_ACTION_PARAMETERS];
  const roadsense_status status = roadsense_action_parameters(policy, parameters);
  *action = status == ROADSENSE_OK ? roadsense_action(parameters) : 0.0f;
  return status;
}

#endif /* ROADSENSE_POLICY_H */
