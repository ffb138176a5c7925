/*
 * The last runs with their pictures, from the public API alone.  Everything is
 * set as text, never as markup, since briefs come from people.
 */
const api = "api/v1";
const state = document.getElementById("state");
const list = document.getElementById("runs");

async function read(path) {
	const answer = await fetch(`${api}/${path}`);
	if (!answer.ok)
		throw new Error(`${path}: status ${answer.status}`);
	return answer.json();
}

function element(name, text, parent) {
	const made = document.createElement(name);
	if (text)
		made.textContent = text;
	parent?.append(made);
	return made;
}

async function picture(run, image, results, row) {
	const figure = element("figure", "", row);
	const img = element("img", "", figure);
	const concept = results.visual_concepts?.[image.strategy_index];
	img.alt = concept?.visual_concept?.suggested_alt_text ?? "";
	element("figcaption",
		results.marketing_strategies?.[image.strategy_index]?.target_objective,
		figure);
	/* Files are sent as downloads, so the picture is shown from a blob. */
	const file = await fetch(`${api}/files/${run.id}/${encodeURIComponent(image.image_path)}`);
	if (file.ok)
		img.src = URL.createObjectURL(await file.blob());
	else
		element("p", `picture not available (${file.status})`, figure);
}

async function show(run) {
	const item = element("li", "", list);
	const detail = await read(`runs/${run.id}`);
	element("h3", detail.prompt || run.platform_name, item);
	const cost = run.total_cost_usd === null ? "" : `, ${run.total_cost_usd.toFixed(4)} USD`;
	element("p", `${run.platform_name}, ${run.status.toLowerCase()}${cost}, ` +
		new Date(run.created_at).toLocaleString(), item);
	if (run.status === "FAILED")
		element("p", detail.error_message, item);
	if (run.status !== "COMPLETED")
		return;
	const results = await read(`runs/${run.id}/results`);
	if (results.simulated)
		element("p", "Simulated provider: these pictures are drawn, not photographed.", item);
	const row = element("div", "", item);
	row.className = "pictures";
	await Promise.all(results.generated_images
		.filter((image) => image.status === "success")
		.map((image) => picture(run, image, results, row)));
}

try {
	const page = await read("runs/?page=1&page_size=10");
	state.textContent = page.total === 0
		? "None yet. Submit one with the API; the README shows how."
		: `${page.total} in all.`;
	for (const run of page.runs)
		await show(run);
} catch (problem) {
	state.textContent = `The service does not answer: ${problem.message}`;
}
