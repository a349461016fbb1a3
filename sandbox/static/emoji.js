"use strict";
// The names of the common emoji. A name that is not here is shown as it is written.
const EMOJI = (() => {
  const table = `
white_check_mark ✅ heavy_check_mark ✔️ ballot_box_with_check ☑️ x ❌ negative_squared_cross_mark ❎ heavy_multiplication_x ✖️ warning ⚠️
no_entry ⛔ no_entry_sign 🚫 octagonal_sign 🛑 stop_sign 🛑 exclamation ❗ grey_exclamation ❕ question ❓ bangbang ‼️ information_source ℹ️
rocket 🚀 ship 🚢 anchor ⚓ package 📦 gear ⚙️ wrench 🔧 hammer 🔨 hammer_and_wrench 🛠️ construction 🚧 building_construction 🏗️ bug 🐛
hourglass ⌛ hourglass_flowing_sand ⏳ stopwatch ⏱️ timer_clock ⏲️ alarm_clock ⏰ clock1 🕐 clock3 🕒 clock9 🕘 watch ⌚ calendar 📆 date 📅
arrows_counterclockwise 🔄 arrows_clockwise 🔃 repeat 🔁 leftwards_arrow_with_hook ↩️ arrow_right_hook ↪️ rewind ⏪ fast_forward ⏩ arrow_forward ▶️
arrow_right ➡️ arrow_left ⬅️ arrow_up ⬆️ arrow_down ⬇️ pause_button ⏸️ double_vertical_bar ⏸️ black_square_for_stop ⏹️ stop_button ⏹️ next_track_button ⏭️
large_green_circle 🟢 green_circle 🟢 red_circle 🔴 large_red_circle 🔴 large_yellow_circle 🟡 large_orange_circle 🟠 large_blue_circle 🔵 large_purple_circle 🟣
white_circle ⚪ black_circle ⚫ large_green_square 🟩 large_red_square 🟥 large_yellow_square 🟨 large_blue_square 🟦 white_large_square ⬜ black_large_square ⬛
lock 🔒 unlock 🔓 closed_lock_with_key 🔐 key 🔑 shield 🛡️ eyes 👀 mag 🔍 mag_right 🔎 memo 📝 pencil ✏️ clipboard 📋 page_facing_up 📄 scroll 📜 books 📚
link 🔗 pushpin 📌 round_pushpin 📍 bookmark 🔖 label 🏷️ bell 🔔 no_bell 🔕 loudspeaker 📢 mega 📣 speech_balloon 💬 thought_balloon 💭 thread 🧵
tada 🎉 confetti_ball 🎊 sparkles ✨ star ⭐ fire 🔥 boom 💥 zap ⚡ snowflake ❄️ ice_cube 🧊 rainbow 🌈 sunny ☀️ cloud ☁️ ocean 🌊 seedling 🌱
heart ❤️ green_heart 💚 broken_heart 💔 thumbsup 👍 +1 👍 thumbsdown 👎 -1 👎 clap 👏 wave 👋 pray 🙏 ok_hand 👌 raised_hands 🙌 raised_hand ✋ muscle 💪
point_right 👉 point_left 👈 point_up ☝️ point_down 👇 smile 😄 smiley 😃 grin 😁 joy 😂 wink 😉 thinking_face 🤔 sweat_smile 😅 sob 😭 scream 😱 rage 😡
robot_face 🤖 ghost 👻 skull 💀 see_no_evil 🙈 turtle 🐢 snail 🐌 bulb 💡 chart_with_upwards_trend 📈 chart_with_downwards_trend 📉 bar_chart 📊
floppy_disk 💾 computer 💻 desktop_computer 🖥️ satellite 🛰️ satellite_antenna 📡 globe_with_meridians 🌐 house 🏠 checkered_flag 🏁 triangular_flag_on_post 🚩
trophy 🏆 dart 🎯 crystal_ball 🔮 test_tube 🧪 microscope 🔬 broom 🧹 wastebasket 🗑️ inbox_tray 📥 outbox_tray 📤 email 📧 new 🆕 up 🆙 ok 🆗 sos 🆘 zzz 💤
one 1️⃣ two 2️⃣ three 3️⃣ four 4️⃣ five 5️⃣ heavy_plus_sign ➕ heavy_minus_sign ➖ infinity ♾️ bust_in_silhouette 👤 busts_in_silhouette 👥 hatching_chick 🐣 canary 🐤 baby_chick 🐤`;
  const words = table.trim().split(/\s+/);
  const out = new Map();
  for (let i = 0; i + 1 < words.length; i += 2) out.set(words[i], words[i + 1]);
  return out;
})();
