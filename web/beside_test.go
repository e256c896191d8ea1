//go:build !js

package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"ninvk/ci/chromium"
)

// TestBesideTensorFlowInChromium measures how fast nin classifies single images and trains on batches of 4, here and
// in TensorFlow.js, in the same browser, one after the other. NINVK_TFJS names a folder whose node_modules has
// @tensorflow/tfjs and @tensorflow/tfjs-backend-webgpu.
func TestBesideTensorFlowInChromium(t *testing.T) {
	const batch, seconds = 4, 30
	ninvk := func(args ...string) []byte {
		c := exec.Command("go", append([]string{"run", "ninvk/cmd/ninvk"}, args...)...)
		c.Stderr = os.Stderr
		out, err := c.Output()
		if err != nil {
			t.Fatal(args, err)
		}
		return out
	}
	network := ninvk("models", "nin", "--json")
	run := filepath.Join(t.TempDir(), "run")
	ninvk("train", "--data", "sample", "--model", "nin", "--batch", "2", "--max-steps", "1", "--eval-train", "1",
		"--no-tune", "--out", run)

	f, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	weights, err := os.ReadFile(filepath.Join(run, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	f["nin.gz"] = weights // of a type that pages have
	b := chromium.Start(t, webgpu)
	b.Open(serve(t, f))
	b.Run(fmt.Sprintf(`
		const worker = new Worker("worker.js");
		const next = (is) => new Promise((resolve, reject) => worker.addEventListener("message", function hear({data}) {
			if (data.is === "error") reject(new Error(data.text));
			if (data.is !== is) return;
			worker.removeEventListener("message", hear);
			resolve(data);
		}));
		const ask = (message, is) => {
			const answer = next(is);
			worker.postMessage(message);
			return answer;
		};
		const median = (list) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)];
		await next("adapter");
		const weights = await (await fetch("nin.gz")).arrayBuffer();
		await ask({do: "open", weights, name: "nin.safetensors"}, "opened");
		const classify = () => ask({do: "classify", id: 1, width: 32, height: 32, rgba: new ArrayBuffer(4096)}, "answer");
		await classify(); // compiles
		const rates = [];
		for (const begun = performance.now(); performance.now() - begun < 1000 * %d;) {
			const start = performance.now();
			await classify();
			rates.push(1000 / (performance.now() - start));
		}
		const infer = median(rates);
		const first = await ask({do: "train", model: "nin", data: "sample",
			settings: {lr: 0.01, augment: "none", batch: %d, epochs: 100, seed: 1, size: 32}}, "step"); // compiles
		// Some steps are told at once, as some are under way together.
		const begun = performance.now();
		let last = first, told = begun;
		while (told - begun < 1000 * %[1]d || last.step < first.step + 3) {
			last = await next("step");
			told = performance.now();
		}
		const train = %[2]d * (last.step - first.step) / (told - begun) * 1000;
		worker.terminate();
		window.rates = {infer, train};
	`, seconds, batch))
	type rates struct{ Train, Infer float64 }
	ours := chromium.Eval[rates](b, "rates")

	mux := http.NewServeMux()
	mux.Handle("/node_modules/", http.FileServer(http.Dir(os.Getenv("NINVK_TFJS"))))
	mux.Handle("/peers/", http.StripPrefix("/peers/", http.FileServer(http.Dir("../bench/peers"))))
	mux.HandleFunc("/network.json", func(w http.ResponseWriter, _ *http.Request) { w.Write(network) })
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		const scripts = `<!doctype html><link rel="icon" href="data:,">
			<script src="node_modules/@tensorflow/tfjs/dist/tf.min.js"></script>
			<script src="node_modules/@tensorflow/tfjs-backend-webgpu/dist/tf-backend-webgpu.min.js"></script>`
		fmt.Fprint(w, scripts)
	})
	s := httptest.NewServer(mux)
	defer s.Close()
	b.Open(s.URL)
	b.Run(fmt.Sprintf(`
		const {measure} = await import("/peers/network.mjs");
		if (!(await tf.setBackend("webgpu"))) throw new Error("TensorFlow.js found no WebGPU adapter");
		const network = await (await fetch("network.json")).json();
		const {infer} = await measure(tf, network, 1, %d, ["infer"]);
		tf.disposeVariables();
		const {train} = await measure(tf, network, %d, %[1]d, ["train"]);
		window.rates = {infer, train};
	`, seconds, batch))
	theirs := chromium.Eval[rates](b, "rates")
	t.Logf("images/s of nin: classifying one by one %.2f, TensorFlow.js %.2f (%.1f times); training %.2f, %.2f (%.1f)",
		ours.Infer, theirs.Infer, ours.Infer/theirs.Infer, ours.Train, theirs.Train, ours.Train/theirs.Train)
	if !(ours.Infer > theirs.Infer && ours.Train > theirs.Train) {
		t.Errorf("TensorFlow.js is the faster one")
	}
}
