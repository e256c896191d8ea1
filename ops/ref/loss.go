package ref

import (
	"math"
	"slices"
)

// SoftmaxCrossEntropy takes logits [n,classes] and a label from 0 to classes−1 an image, and gives each image's loss,
// the gradient dlogits [n,classes] of the losses' mean over n, and the place of the label's logit among the image's in
// descending order, from 0 (equal ones in the order of their classes). With q = softmax(logits) and a weight w for each
// class an image's loss is that of torch.nn.CrossEntropyLoss(weight=w, label_smoothing=s):
//
//	(1−s)·w[label]·(−ln q[label]) + s·mean over classes of w·(−ln q)
//
// and the mean is Σ losses / Σ w[label]; without weights all are 1.
func SoftmaxCrossEntropy(n, classes int, logits []float64, labels []int, smoothing float64, weights ...float64) (losses,
	dlogits []float64, places []int) {
	losses, dlogits, places = make([]float64, n), make([]float64, n*classes), make([]int, n)
	if len(weights) == 0 {
		weights = slices.Repeat([]float64{1}, classes)
	}
	var whole, sum float64 // of the weights of the labels, and of all classes
	for _, l := range labels {
		whole += weights[l]
	}
	for _, w := range weights {
		sum += w
	}
	for i := range n {
		z, dz := logits[i*classes:(i+1)*classes], dlogits[i*classes:(i+1)*classes]
		best := 0
		for k, v := range z {
			if v > z[best] {
				best = k
			}
		}
		for k, v := range z {
			if own := z[labels[i]]; v > own || v == own && k < labels[i] {
				places[i]++
			}
		}
		var exps float64
		for _, v := range z {
			exps += math.Exp(v - z[best]) // the greatest exponent is 0: no overflow
		}
		logSum := z[best] + math.Log(exps)
		for k, v := range z {
			target := smoothing / float64(classes) * weights[k]
			own := (1 - smoothing) * weights[labels[i]]
			if k == labels[i] {
				target += own
			}
			losses[i] += target * (logSum - v)
			dz[k] = (math.Exp(v-logSum)*(own+smoothing/float64(classes)*sum) - target) / whole
		}
	}
	return losses, dlogits, places
}

// Weigh multiplies the losses and gradients of a head by its weight in a network's loss, in place.
func Weigh(weight float64, values ...[]float64) {
	for _, v := range values {
		for i := range v {
			v[i] *= weight
		}
	}
}
