package ref

import "math"

// SoftmaxCrossEntropy takes logits [n,classes] and a label from 0 to classes−1
// an image, and gives each image's loss, the gradient dlogits [n,classes] of
// the losses' mean over n, and how many images have their greatest logit (the
// first of equal ones) at the label. With q = softmax(logits) an image's loss
// is that of torch.nn.CrossEntropyLoss(label_smoothing=s):
//
//	(1−s)·(−ln q[label]) + s·mean over classes of (−ln q)
func SoftmaxCrossEntropy(n, classes int, logits []float64, labels []int, smoothing float64) (losses, dlogits []float64, correct int) {
	losses, dlogits = make([]float64, n), make([]float64, n*classes)
	for i := range n {
		z, dz := logits[i*classes:(i+1)*classes], dlogits[i*classes:(i+1)*classes]
		best := 0
		for k, v := range z {
			if v > z[best] {
				best = k
			}
		}
		if best == labels[i] {
			correct++
		}
		var sum float64
		for _, v := range z {
			sum += math.Exp(v - z[best]) // the greatest exponent is 0: no overflow
		}
		logSum := z[best] + math.Log(sum)
		for k, v := range z {
			target := smoothing / float64(classes)
			if k == labels[i] {
				target += 1 - smoothing
			}
			losses[i] += target * (logSum - v)
			dz[k] = (math.Exp(v-logSum) - target) / float64(n)
		}
	}
	return losses, dlogits, correct
}

// Weigh multiplies the losses and gradients of a head by its weight in a
// network's loss, in place.
func Weigh(weight float64, values ...[]float64) {
	for _, v := range values {
		for i := range v {
			v[i] *= weight
		}
	}
}
